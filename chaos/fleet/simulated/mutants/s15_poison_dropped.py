"""S15: an entry that the database refuses is dropped without a trace."""

from __future__ import annotations

from chaos.fleet.simulated import reception
from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core.posting import Posting, set_aside
from syncref.core.step import replace


def drop(posting: Posting, seq: int, reason: str) -> Posting:
    """Set an entry aside and forget it."""
    return replace(set_aside(posting, seq, reason), asides=posting.asides)


MUTANT = Mutant(
    id="S15",
    title="poison dropped",
    fault="poison",
    expected="receipts",
    profile=Profile(misfortunes={"poison": 2.0}),
    swaps=[(reception, "set_aside", drop)],
)
