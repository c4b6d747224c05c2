"""S16: a full disk is held against the entry."""

from __future__ import annotations

from chaos.fleet.simulated import reception
from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core.posting import Failure


def classify(sqlstate: str | None, *, constraint: str | None = None) -> Failure:
    """Find every error poisonous."""
    return Failure.POISON


MUTANT = Mutant(
    id="S16",
    title="transient error taken as poison",
    fault="server disk full",
    expected="settlement",
    profile=Profile(misfortunes={"disk_full_server": 3.0}, sales=10),
    swaps=[(reception, "classify_sqlstate", classify)],
)
