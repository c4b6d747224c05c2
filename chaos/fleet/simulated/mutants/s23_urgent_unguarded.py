"""S23: a staged row replaces whatever is there, an urgent newer one too."""

from __future__ import annotations

from chaos.fleet.simulated.master_rows import MasterRows
from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.till_store import TillStore


def supersedes(self: MasterRows, version: int, present: int) -> bool:
    """Let the last one win."""
    return True


def written_since(self: TillStore, generation: int) -> bool:
    """Take a page however old it is."""
    return False


MUTANT = Mutant(
    id="S23",
    title="urgent lacks the version guard",
    fault="urgent during bulk",
    expected="prices",
    profile=Profile(
        misfortunes={"urgent_during_bulk": 3.0}, edits=0, sales=60, tills=(1, 1), products=3, page_rows=1
    ),
    swaps=[(MasterRows, "supersedes", supersedes), (TillStore, "written_since", written_since)],
)
