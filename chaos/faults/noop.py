"""No-op: the smallest fault there is, and the one to copy for the next (docs/faults.md). It never bites."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.faults.base import Bite, Context, Fault, Healed
from chaos.faults.parameters import whole


@dataclass(frozen=True, slots=True, kw_only=True)
class NoopParameters:
    """How often the no-op does nothing."""

    times: int = whole(1, unit="times", least=1, most=10, text="how often nothing is done")


class Noop(Fault):
    """Does nothing, and says so."""

    kind = "noop"
    aim = "nothing"
    parameters = NoopParameters

    def inject(self, context: Context) -> None:
        """Do nothing."""

    def lift(self, context: Context) -> None:
        """Undo nothing."""

    def verify(self, context: Context) -> Healed:
        """Nothing was changed, so nothing is left."""
        return Healed(ok=True, text="nothing was changed")

    def evidence(self, context: Context) -> Bite:
        """Say that it did not bite: a run with it alone is INCONCLUSIVE."""
        return Bite(bit=False, text=f"nothing was done, {self.p.times} times")
