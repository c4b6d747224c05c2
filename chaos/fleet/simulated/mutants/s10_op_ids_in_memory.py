"""S10: the till knows op ids only until it restarts."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.till import TillNode
from syncref.core.journal_messages import Prior

_on_boot = TillNode.on_boot


def on_boot(self: TillNode) -> None:
    """Forget."""
    self.forgotten = set(self.store.ops)  # type: ignore[attr-defined]


def prior(self: TillNode, op_id: bytes) -> Prior | None:
    """Know what was sold since the till started."""
    if op_id in self.forgotten:  # type: ignore[attr-defined]
        return None
    return self.store.prior(op_id)


MUTANT = Mutant(
    id="S10",
    title="op ids only in memory",
    fault="till kill after commit",
    expected="receipts",
    profile=Profile(misfortunes={"kill_till": 4.0}, sales=10, repeats=0.2),
    swaps=[(TillNode, "on_boot", on_boot), (TillNode, "prior", prior)],
)
