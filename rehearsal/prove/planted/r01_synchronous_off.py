"""R1: SQLite runs with synchronous=OFF. Fast, and safe under any kill: only a power cut shows it."""

from __future__ import annotations

import sqlite3

from rehearsal.prove.planted import Planted, swap
from syncref.store import till_open


def plant() -> None:
    """Never sync, whatever a transaction asks for."""
    prepare = till_open._prepare_sqlite
    write = till_open.TillDatabase._write

    def unsynced(connection: sqlite3.Connection, record: object) -> None:
        prepare(connection, record)
        connection.execute("PRAGMA synchronous=OFF")

    swap(till_open, "_prepare_sqlite", unsynced)
    swap(till_open.TillDatabase, "_write", lambda self, _synchronous: write(self, "OFF"))


PLANTED = Planted(
    id="R1",
    title="SQLite synchronous=OFF",
    fault="power cut",
    expected="receipts",
    scenario="till-trouble",
    kinds=("till",),
    plant=plant,
)
