"""S33: a new term counts on from the server's own, whatever others have met."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import failover
from syncref.core.failover import FailoverState, FailoverStep
from syncref.core.step import replace

_open_term = failover._open_term


def open_term(state: FailoverState, fresh_id: bytes) -> FailoverStep:
    """Forget what was reported, and whose numbers are whose."""
    return _open_term(replace(state, highest_seen=0, ranks=1), fresh_id)


MUTANT = Mutant(
    id="S33",
    title="new term = own + 1",
    fault="promoted there and back",
    expected="failover",
    profile=Profile(misfortunes={"there_and_back": 1.0}, sales=14),
    swaps=[(failover, "_open_term", open_term)],
)
