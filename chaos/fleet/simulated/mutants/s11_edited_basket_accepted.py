"""S11: the request is not compared with the one that an op id was used for."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import journal


def request_hash(kind: object, request: object) -> bytes:
    """Find all requests the same."""
    return b"same"


MUTANT = Mutant(
    id="S11",
    title="edited basket gets the old receipt",
    fault="reply cut, edit",
    expected="money",
    profile=Profile(misfortunes={"reply_cut": 1.0}, repeats=0.4),
    swaps=[(journal, "request_hash", request_hash)],
)
