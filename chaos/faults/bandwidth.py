"""Bandwidth: a thin line. Bytes come through at a given rate, so batches queue up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.faults.base import Bite, Context
from chaos.faults.carrying import CarryingFault
from chaos.faults.flow import readings
from chaos.faults.parameters import whole
from chaos.fleet.links import Link, Probe
from chaos.proxy.client import Toxic

FULL_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class BandwidthParameters:
    """How thin."""

    rate_kb_s: int = whole(4, unit="KB/s", least=1, most=100_000, text="in each direction of each connection")


class Bandwidth(CarryingFault):
    """Limits both directions of each connection."""

    kind = "bandwidth"
    parameters = BandwidthParameters

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.heads: dict[str, int] = {}
        self.behind: dict[str, int] = {}

    def toxics(self) -> Sequence[Toxic]:
        """One bandwidth toxic per direction."""
        return [
            Toxic(
                name=f"bandwidth_{stream}", type="bandwidth", stream=stream, attributes={"rate": self.p.rate_kb_s}
            )
            for stream in ("upstream", "downstream")
        ]

    def acted(self, probe: Probe) -> Bite:
        """A request came through; its size alone proves no limit."""
        fine = probe.outcome in {"answered", "silent"}
        return Bite(bit=fine, text=f"a request was {probe.outcome} after {probe.took_ms:.0f} ms")

    def observe(self, context: Context) -> None:
        """Remember how far each till fell behind: what it had at the look before and the server lacks still.

        What was sold since then may be on its way on the widest line.
        """
        for till, now in readings(context, self.tills()).items():
            if now.head is None:
                continue
            if now.server is not None:
                old = min(self.heads.get(till, 0), now.head)  # a till's new journal begins anew
                self.behind[till] = max(self.behind.get(till, 0), old - now.server)
            self.heads[till] = now.head

    def judged(self, context: Context, link: Link) -> Bite:
        """The limit was felt: the line was at least half full, or the till's entries queued."""
        base = super().judged(context, link)
        if base.bit is not True:
            return base
        carried = [self.carried(link.name, stream) or 0 for stream in ("upstream", "downstream")]
        share = max(carried) / max(self.lasted_s, 0.001) / (self.p.rate_kb_s * 1000)
        behind = self.behind.get(link.till, 0)
        text = f"{base.text}; {share:.0%} of the rate used, {behind} entries queued from one look to the next"
        return Bite(bit=share >= FULL_SHARE or behind > 0, text=text)
