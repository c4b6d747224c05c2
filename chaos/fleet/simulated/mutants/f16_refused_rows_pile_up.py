"""F16: a row that the database refuses is tried again at once, with its whole batch, for ever and silently."""

from __future__ import annotations

from chaos.fleet.simulated import reception
from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import uplink
from syncref.core.posting import Failure, Remedy


def remedy(failure: Failure, *, tries: int, entries: int) -> Remedy:
    """Never set anything aside."""
    return Remedy.RETRY_LATER


def at_once(*, attempt: int, draw: float, base_ms: int, max_ms: int) -> int:
    """Wait for nothing."""
    return 1


MUTANT = Mutant(
    id="F16",
    title="a refused row is resent without back-off",
    fault="poison",
    expected="drain",
    profile=Profile(misfortunes={"poison": 3.0}, tills=(1, 2)),
    swaps=[(reception, "remedy", remedy), (uplink, "full_jitter_ms", at_once)],
)
