"""R6: the till's sockets have no time-out."""

from __future__ import annotations

from rehearsal.prove.planted import Planted, swap
from syncref.till import connection

A_DAY_S = 86_400.0


def plant() -> None:
    """Give every operation on a socket a day."""
    swap(connection.Deadline, "left", lambda _self: A_DAY_S)


PLANTED = Planted(
    id="R6",
    title="no socket time-out",
    fault="black hole, never closed",
    expected="drain",
    scenario="bad-line",
    kinds=("till",),
    plant=plant,
)
