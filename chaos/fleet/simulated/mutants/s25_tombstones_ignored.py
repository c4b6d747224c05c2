"""S25: a deleted row stays on the till."""

from __future__ import annotations

from chaos.fleet.simulated.master_rows import MasterRows
from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.wire.sync import FeedRow

_put = MasterRows.put


def put(self: MasterRows, row: FeedRow) -> bool:
    """Take live rows only."""
    return False if row.deleted else _put(self, row)


MUTANT = Mutant(
    id="S25",
    title="tombstones ignored",
    fault="delete while cut",
    expected="masters",
    profile=Profile(misfortunes={"cut": 1.0}, edits=10, sales=2, edit_kinds=("delete",)),
    swaps=[(MasterRows, "put", put)],
)
