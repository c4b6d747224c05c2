"""S21: each page is applied as it comes."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.till_store import TillStore
from syncref.core.downlink_messages import Run
from syncref.wire.sync import FeedRow

_do_stage = TillStore._do_stage


def do_stage(self: TillStore, run: Run, rows: tuple[FeedRow, ...]) -> None:
    """Stage, and show at once."""
    _do_stage(self, run, rows)
    for row in rows:
        self.masters.put(row)


MUTANT = Mutant(
    id="S21",
    title="apply per page",
    fault="cut between pages",
    expected="documents",
    profile=Profile(
        misfortunes={"cut": 2.0, "noise": 2.0, "kill_till": 1.0},
        edits=12,
        sales=4,
        page_rows=1,
        edit_kinds=("pair",),
    ),
    swaps=[(TillStore, "_do_stage", do_stage)],
)
