"""Reset: whoever sends something through the link gets an RST, as from a firewall that lost its table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.faults.base import Bite
from chaos.faults.carrying import CarryingFault
from chaos.faults.parameters import whole
from chaos.fleet.links import Probe
from chaos.proxy.client import Toxic


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetParameters:
    """When the reset comes."""

    after_ms: int = whole(0, unit="ms", least=0, most=60_000, text="from the first byte to the reset")


class Reset(CarryingFault):
    """Resets connections as soon as the till sends."""

    kind = "reset"
    parameters = ResetParameters

    def toxics(self) -> Sequence[Toxic]:
        """One reset toxic on what the till sends."""
        attributes = {"timeout": self.p.after_ms}
        return (Toxic(name="reset", type="reset_peer", stream="upstream", attributes=attributes),)

    def acted(self, probe: Probe) -> Bite:
        """A request was reset."""
        return Bite(bit=probe.outcome in {"reset", "broken"}, text=f"a request was {probe.outcome}")
