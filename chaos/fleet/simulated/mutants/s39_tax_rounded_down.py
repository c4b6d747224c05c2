"""S39: the till rounds tax down."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import selling


def tax_included(*, amount: int, rate_bp: int) -> int:
    """Round towards minus infinity."""
    return amount * rate_bp // (10_000 + rate_bp)


MUTANT = Mutant(
    id="S39",
    title="tax rounded differently on till and server",
    fault="none",
    expected="money",
    profile=Profile(misfortunes={}),
    swaps=[(selling, "tax_included", tax_included)],
)
