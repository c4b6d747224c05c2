"""S9: the till does not look op ids up."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.till import TillNode


def prior(self: TillNode, op_id: bytes) -> None:
    """Know no op id."""


MUTANT = Mutant(
    id="S9",
    title="op id ignored",
    fault="reply cut",
    expected="receipts",
    profile=Profile(misfortunes={"reply_cut": 4.0}),
    swaps=[(TillNode, "prior", prior)],
)
