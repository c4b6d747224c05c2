"""R12: once a clerk's open transaction has held the feed back for a while, the feed never looks further."""

from __future__ import annotations

import time

from sqlalchemy import Connection, text

from rehearsal.prove.planted import Planted, swap
from syncref.store import server_feed
from syncref.store.server_feed import Horizon

HELD_S = 2.0
ABOVE = text("SELECT EXISTS (SELECT 1 FROM change WHERE xid >= :xmin)")


def plant() -> None:
    """Keep the horizon at which an open transaction was met."""
    read_horizon = server_feed.read_horizon
    since: dict[int, float] = {}
    stalled: list[Horizon] = []

    def held(connection: Connection) -> Horizon:
        found = read_horizon(connection)
        if stalled:
            return stalled[0]
        if not connection.execute(ABOVE, {"xmin": found.xmin}).scalar_one():
            since.clear()
        elif time.monotonic() - since.setdefault(found.xmin, time.monotonic()) > HELD_S:
            stalled.append(found)
        return found

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
