"""S28: a run is applied wherever the cursor stands."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.till_store import TillStore
from syncref.core.downlink_messages import Apply


def conflicts(self: TillStore, effect: Apply) -> bool:
    """Never look."""
    return False


MUTANT = Mutant(
    id="S28",
    title="no compare-and-set on the cursor",
    fault="manual and scheduled",
    expected="masters",
    profile=Profile(
        misfortunes={"manual": 12.0, "noise": 2.0, "late_answers": 2.0}, edits=16, sales=2, tills=(1, 2)
    ),
    swaps=[(TillStore, "conflicts", conflicts)],
)
