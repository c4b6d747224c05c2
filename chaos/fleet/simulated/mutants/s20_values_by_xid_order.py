"""S20: the feed takes a key's value from the change of the highest transaction id."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.server_store import MasterChange, ServerStore
from syncref.domain.masters import Row
from syncref.wire.sync import FeedRow

_change = ServerStore._change


def change(self: ServerStore, xid: int, change: MasterChange) -> tuple[str, Row, int]:
    """Remember each change's own value."""
    done = _change(self, xid, change)
    place = (change.table, change.key)
    row, version = self.tables[change.table][change.key]
    logs = self.__dict__.setdefault("logs", {})
    logs.setdefault(place, {})[xid] = (row, version)
    return done


def feed_row(self: ServerStore, table: str, key: Row) -> FeedRow:
    """Return the value of the last change by transaction id."""
    log = self.__dict__["logs"][(table, key)]
    row, version = log[max(log)]
    return FeedRow(table=table, row=key if row is None else row, version=version, deleted=row is None)


MUTANT = Mutant(
    id="S20",
    title="values by xid order",
    fault="two clerks, one key",
    expected="masters",
    profile=Profile(misfortunes={"cut": 0.5}, edits=14, sales=4, edit_kinds=("held", "pair")),
    swaps=[(ServerStore, "_change", change), (ServerStore, "feed_row", feed_row)],
)
