"""S14: an entry that the database refuses is tried for ever."""

from __future__ import annotations

from chaos.fleet.simulated import reception
from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core.posting import Failure, Remedy


def remedy(failure: Failure, *, tries: int, entries: int) -> Remedy:
    """Never set anything aside."""
    return Remedy.RETRY_LATER


MUTANT = Mutant(
    id="S14",
    title="poison blocks",
    fault="poison",
    expected="drain",
    profile=Profile(misfortunes={"poison": 2.0}),
    swaps=[(reception, "remedy", remedy)],
)
