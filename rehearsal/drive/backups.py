"""Backups of the server's database in a run: a base backup by pg_basebackup, laid back as an administrator does.

Keeps: what the database held is read once nobody writes to it, and again after the restore; what lies between is
declared, so that clerks' lost documents are known one by one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import psycopg2

from chaos.errors import FaultFailed
from chaos.faults.backups import Forgotten
from chaos.fleet.process import ProcessFleet
from chaos.waiting import wait_until
from rehearsal.model import Restore
from rehearsal.staging.shop import Shop

EDIT_COLUMNS = ("op_id", "clerk", "kind", "at_ms", "result")
_EDITS = "SELECT op_id, clerk, kind, at_ms, result FROM operation ORDER BY at_ms, op_id"
_ENTRIES = "SELECT count(*) FROM entry"
_TIMELINE = "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int"
PROMOTED_S = 60.0
EditRow = tuple[str, str, str, int, str]


class ShopBackups:
    """Implements chaos.faults.backups.ServerBackups for the first side of a shop."""

    def __init__(self, shop: Shop, fleet: ProcessFleet) -> None:
        self._fleet = fleet
        self._side = shop.sides[0]
        self._dsn = shop.server_database.dsn
        self._had: tuple[int, list[EditRow], int] = (0, [], 0)
        self.restores: list[Restore] = []
        self.lost_edits: list[EditRow] = []

    @property
    def postgres(self) -> str:
        """The database's node."""
        return self._side.postgres

    @property
    def users(self) -> tuple[str, ...]:
        """The back office before the server: documents need it, sales don't."""
        return (self._side.office, self._side.server)

    def take(self) -> None:
        """Take a base backup."""
        self._fleet.back_up_postgres(self.postgres)

    def inventory(self) -> None:
        """Remember entries, operations and timeline."""
        self._had = self._holds()

    def lay_back(self) -> None:
        """Replace the stopped cluster."""
        self._fleet.lay_back_postgres(self.postgres)

    def forgotten(self) -> Forgotten:
        """Compare with the inventory, once the restored database has become a primary."""
        if not wait_until(self._is_primary, PROMOTED_S):
            raise FaultFailed(f"the restored database is no primary after {PROMOTED_S:g} s")
        entries, edits, before = self._had
        now_entries, now_edits, timeline = self._holds()
        there = {row[0] for row in now_edits}
        lost = [row for row in edits if row[0] not in there]
        self.lost_edits += lost
        self.restores.append(
            Restore(
                server=self._side.server, at_ms=time.time_ns() // 1_000_000, entries=entries - now_entries,
                edits=len(lost), timeline=timeline,
            )
        )  # fmt: skip
        return Forgotten(entries=entries - now_entries, edits=len(lost), timeline_before=before, timeline=timeline)

    def _holds(self) -> tuple[int, list[EditRow], int]:
        with self._cursor() as cursor:
            cursor.execute(_ENTRIES)
            entries = int(cursor.fetchone()[0])
            cursor.execute(_EDITS)
            edits = [tuple(row) for row in cursor.fetchall()]
            cursor.execute(_TIMELINE)
            return entries, edits, int(cursor.fetchone()[0])

    def _is_primary(self) -> bool:
        with self._cursor() as cursor:
            cursor.execute("SELECT NOT pg_is_in_recovery()")
            return bool(cursor.fetchone()[0])

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[Any]:
        try:
            with contextlib.closing(psycopg2.connect(self._dsn, connect_timeout=5)) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    yield cursor
        except psycopg2.Error as error:
            raise FaultFailed(f"the server's database: {str(error).strip()}") from error


def backups_of(shop: Shop) -> ShopBackups | None:
    """Return the backups of a server that stands alone, as processes; else there are none."""
    fleet = shop.fleet
    return ShopBackups(shop, fleet) if isinstance(fleet, ProcessFleet) and not shop.sides[1:] else None
