"""Latency: every answer comes late, by a fixed time and a seeded jitter (seeded in the built-in proxy only)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos.faults.base import Bite
from chaos.faults.carrying import CarryingFault
from chaos.faults.parameters import whole
from chaos.fleet.links import Probe
from chaos.proxy.client import Toxic


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyParameters:
    """How late."""

    latency_ms: int = whole(200, unit="ms", least=1, most=60_000, text="added to each answer")
    jitter_ms: int = whole(0, unit="ms", least=0, most=60_000, text="more or less than that, at random")


class Latency(CarryingFault):
    """Delays the answers."""

    kind = "latency"
    parameters = LatencyParameters

    @classmethod
    def misfits(cls, targets: Sequence[str], p: LatencyParameters) -> Mapping[str, str]:
        """A jitter as large as the latency may take all of it, and any request at all would be late enough."""
        if p.jitter_ms < p.latency_ms:
            return {}
        problem = f"fault latency: jitter_ms = {p.jitter_ms}: give less than latency_ms, {p.latency_ms}"
        return {"jitter_ms": problem}

    def toxics(self) -> Sequence[Toxic]:
        """One latency toxic downstream."""
        attributes = {"latency": self.p.latency_ms, "jitter": self.p.jitter_ms}
        return (Toxic(name="latency", type="latency", stream="downstream", attributes=attributes),)

    def acted(self, probe: Probe) -> Bite:
        """A request took at least the latency less its jitter."""
        least = self.p.latency_ms - self.p.jitter_ms
        late = probe.outcome == "answered" and probe.took_ms >= least
        if self.p.latency_ms + self.p.jitter_ms >= self.probe_timeout_s * 1000:
            late = late or probe.outcome == "silent"
        return Bite(bit=late, text=f"a request took {probe.took_ms:.0f} ms ({probe.outcome})")
