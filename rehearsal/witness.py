"""The witnesses during a run, read by SQL: how far each till and the server really are.

The system's own status pages are never asked; a till that lies about its backlog is found out here.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PgConnection  # noqa: N812 - a class under a lower-case name

from rehearsal.evidence.databases import Database, WitnessUnreadable

READ_TIMEOUT_S = 2.0
PG_OPTIONS = "-c statement_timeout=5000 -c idle_in_transaction_session_timeout=5000"

_TILL_SQL = (
    "SELECT incarnation, head_seq, acked, cursor_n, cursor_pos, stock_seq, contact_ms, masters_ms, overlay,"
    " business_date, alarm, till FROM till"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TillMark:
    """A till's own database, at one instant. `till` is who it says it is: a copy says the till's name."""

    till: str
    incarnation: str
    head: int
    acked: int
    cursor_n: int
    cursor_pos: int
    stock_seq: int
    contact_ms: int
    masters_ms: int
    merging: bool
    day_open: bool
    alarm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMark:
    """The server's database, at one instant: (till, incarnation) → sequence, and the last change's position."""

    durable: Mapping[tuple[str, str], int]
    folded: Mapping[tuple[str, str], int]
    term_n: int
    last_change: int


class Witness:
    """Reads the databases of tills and server; safe to use from several threads."""

    def __init__(self, tills: Mapping[str, Database], server: Database) -> None:
        self._tills = dict(tills)
        self._server = server
        self._held: dict[str, PgConnection] = {}
        self._lock = threading.Lock()

    def add(self, name: str, database: Database) -> None:
        """Take in a till that came later."""
        self._tills[name] = database

    def till(self, name: str) -> TillMark:
        """Return a till's mark; raises WitnessUnreadable."""
        row = self._query(self._tills[name], _TILL_SQL)[0]
        return TillMark(
            till=row[11],
            incarnation=bytes(row[0]).hex(),
            head=row[1],
            acked=row[2],
            cursor_n=row[3] or 0,
            cursor_pos=row[4],
            stock_seq=row[5],
            contact_ms=row[6] or 0,
            masters_ms=row[7] or 0,
            merging=bool(row[8]),
            day_open=row[9] is not None,
            alarm=row[10] or "",
        )

    def server(self) -> ServerMark:
        """Return the server's mark; raises WitnessUnreadable."""
        durable = self._query(self._server, "SELECT till, incarnation, seq FROM journal")
        folded = self._query(self._server, "SELECT till, incarnation, seq FROM stock_fold")
        rest = self._query(self._server, "SELECT (SELECT n FROM term), (SELECT coalesce(max(xid), 0) FROM change)")
        return ServerMark(
            durable={(till, bytes(incarnation).hex()): seq for till, incarnation, seq in durable},
            folded={(till, bytes(incarnation).hex()): seq for till, incarnation, seq in folded},
            term_n=rest[0][0],
            last_change=rest[0][1],
        )

    def head(self, till: str) -> int:
        """Return the last sequence of a till's journal, read from the till."""
        return self.till(till).head

    def acked(self, till: str) -> int:
        """Return up to where a till believes the server has it."""
        return self.till(till).acked

    def durable_seq(self, till: str) -> int:
        """Return up to where the server has a till's present journal, 0 when it has nothing of it."""
        mark = self.till(till)
        return dict(self.server().durable).get((mark.till, mark.incarnation), 0)

    def oldest_change_ms(self, position: int) -> int | None:
        """Return when the oldest change was made that a cursor at `position` does not cover; None: none."""
        sql = f"SELECT min(at_ms) FROM change WHERE xid >= {int(position)}"  # noqa: S608 - a whole number
        found = self._query(self._server, sql)[0][0]
        return None if found is None else int(found)

    def prices_changed(self, since: int, before: int) -> list[tuple[str, int, int]]:
        """Return (key, version, at_ms) of the price changes that a cursor passes between two positions."""
        sql = "SELECT key, version, at_ms FROM change WHERE tbl = 'price' AND xid >= {:d} AND xid < {:d}"
        rows = self._query(self._server, sql.format(since, before))
        return [(row[0], row[1], row[2]) for row in rows]

    def till_rows(self, till: str, sql: str) -> list[tuple[Any, ...]]:
        """Read a till's database."""
        return self._query(self._tills[till], sql)

    def server_rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Read the server's database."""
        return self._query(self._server, sql)

    def close(self) -> None:
        """Close what is held open."""
        with self._lock:
            for connection in self._held.values():
                with contextlib.suppress(psycopg2.Error):
                    connection.close()
            self._held.clear()

    def _query(self, database: Database, sql: str) -> list[tuple[Any, ...]]:
        try:
            if database.is_sqlite:
                source = f"file:{database.file}?mode=ro"
                with contextlib.closing(sqlite3.connect(source, uri=True, timeout=READ_TIMEOUT_S)) as connection:
                    return connection.execute(sql).fetchall()
            return self._postgresql(database, sql)
        except (sqlite3.Error, psycopg2.Error) as error:
            raise WitnessUnreadable(f"{database.shown}: {str(error).strip()}") from error

    def _postgresql(self, database: Database, sql: str) -> list[tuple[Any, ...]]:
        """Run on a held connection; one that broke since its last use is replaced once."""
        with self._lock:
            for fresh in (False, True):
                held = self._held.get(database.url)
                if held is None or held.closed:
                    held = psycopg2.connect(database.dsn, connect_timeout=3, options=PG_OPTIONS)
                    held.autocommit = True
                    self._held[database.url] = held
                try:
                    with held.cursor() as cursor:
                        cursor.execute(sql)
                        return cursor.fetchall()
                except psycopg2.OperationalError:
                    held.close()
                    if fresh:
                        raise
        raise AssertionError("the loop returns or raises")
