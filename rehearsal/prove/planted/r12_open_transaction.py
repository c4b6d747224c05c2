"""R12: once the feed has met a clerk's open transaction, it never looks beyond it, not even when that is over."""

from __future__ import annotations

from sqlalchemy import Connection, text

from rehearsal.prove.planted import Planted, swap
from syncref.store import server_feed
from syncref.store.server_feed import Horizon

ABOVE = text("SELECT EXISTS (SELECT 1 FROM change WHERE xid >= :xmin)")


def plant() -> None:
    """Keep the horizon above which something was committed while an older transaction was open."""
    read_horizon = server_feed.read_horizon
    stalled: list[Horizon] = []

    def held(connection: Connection) -> Horizon:
        found = read_horizon(connection)
        if not stalled and connection.execute(ABOVE, {"xmin": found.xmin}).scalar_one():
            stalled.append(found)
        return stalled[0] if stalled else found

    swap(server_feed, "read_horizon", held)


PLANTED = Planted(
    id="R12",
    title="open transaction stalls the feed",
    fault="idle clerk",
    expected="drain",
    scenario="server-trouble",
    kinds=("server",),
    plant=plant,
)
