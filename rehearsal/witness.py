"""The witnesses during a run, read by SQL: how far each till and the server really are.

The system's own status pages are never asked; a till that lies about its backlog is found out here.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2

from rehearsal.evidence.databases import Database, WitnessUnreadable
from rehearsal.lines import PgLine

READ_TIMEOUT_S = 2.0
PG_TIMEOUT_S = 6.0
ROLE_TIMEOUT_S = 0.7
CHOSEN_FOR_S = 0.3
SHUNNED_FOR_S = 2.0

_TILL_SQL = (
    "SELECT incarnation, head_seq, acked, cursor_n, cursor_pos, stock_seq, contact_ms, masters_ms, overlay,"
    " business_date, alarm, till, loaded FROM till"
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
    loaded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMark:
    """The server's database, at one instant: (till, incarnation) → sequence, and the last change's position."""

    durable: Mapping[tuple[str, str], int]
    folded: Mapping[tuple[str, str], int]
    term_n: int
    last_change: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reigning:
    """What a server's database says of who is live. `confirmed`: nobody's word is missing.

    The log positions are bytes; `written` is None on a standby, `received` and `replayed` on a primary.
    """

    term_n: int
    term_id: str
    timeline_ok: bool
    recovering: bool
    fenced_by: int | None
    confirmed: bool
    written: int | None
    received: int | None
    replayed: int | None
    replay_paused: bool = False

    @property
    def role(self) -> str:
        """The server's role, as its database decides it."""
        if self.recovering:
            return "standby"
        if self.fenced_by is not None:
            return "fenced"
        if not self.timeline_ok:
            return "promoting"
        return "live" if self.confirmed else "starting"


_REIGN_SQL = """
SELECT n, encode(id, 'hex'), pg_is_in_recovery(), fenced_by,
  guard IS NULL OR guard = pg_postmaster_start_time(),
  CASE WHEN pg_is_in_recovery() THEN true ELSE
    timeline = ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END,
  CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_insert_lsn() - '0/0'::pg_lsn END::bigint,
  (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() END - '0/0'::pg_lsn)::bigint,
  (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END - '0/0'::pg_lsn)::bigint,
  CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END
FROM term
"""


class Witness:
    """Reads the databases of tills and servers; safe to use from several threads.

    "The server" is the primary of the highest term, whichever of `servers` (by node) that is at the moment.
    """

    def __init__(self, tills: Mapping[str, Database], servers: Mapping[str, Database]) -> None:
        self._tills = dict(tills)
        self._servers = dict(servers)
        self._lines: dict[str, PgLine] = {}
        self._lock = threading.Lock()
        self._chosen: tuple[str, float] = ("", 0.0)
        self._shunned: dict[str, float] = {}

    def live(self) -> str:
        """Return the node of the server whose database is the primary of the highest term.

        Raises WitnessUnreadable when none can be read.
        """
        if len(self._servers) == 1:
            return next(iter(self._servers))
        chosen, until = self._chosen
        if time.monotonic() < until:
            return chosen
        reigns = {server: self.reigning(server) for server in self._servers}
        primaries = {
            server: reign.term_n for server, reign in reigns.items() if reign is not None and not reign.recovering
        }
        if not primaries:
            raise WitnessUnreadable(f"no primary among {', '.join(self._servers)} answers")
        best = max(primaries, key=lambda server: primaries[server])
        self._chosen = best, time.monotonic() + CHOSEN_FOR_S
        return best

    def servers(self) -> tuple[str, ...]:
        """Return all servers' nodes."""
        return tuple(self._servers)

    def database(self, server: str) -> Database:
        """Return a server's database."""
        return self._servers[server]

    def reigning(self, server: str) -> Reigning | None:
        """Return what a server's database says of who is live; None when it does not answer."""
        if time.monotonic() < self._shunned.get(server, 0.0):
            return None
        begun = time.monotonic()
        try:
            row = self._line(self._servers[server]).rows(_REIGN_SQL, within_s=ROLE_TIMEOUT_S)[0]
        except (psycopg2.Error, IndexError):
            if time.monotonic() - begun > ROLE_TIMEOUT_S / 2:  # it stands still: don't wait for it every time
                self._shunned[server] = time.monotonic() + SHUNNED_FOR_S
            return None
        return Reigning(
            term_n=row[0],
            term_id=row[1],
            recovering=row[2],
            fenced_by=row[3],
            confirmed=row[4],
            timeline_ok=row[5],
            written=row[6],
            received=row[7],
            replayed=row[8],
            replay_paused=row[9],
        )

    def add(self, name: str, database: Database) -> None:
        """Take in a till that came later."""
        self._tills[name] = database

    def till(self, name: str) -> TillMark:
        """Return a till's mark; raises WitnessUnreadable."""
        database = self._tills[name]
        rows = self._query(database, _TILL_SQL)
        if not rows:  # a till that is being set up: its tables are there before its row
            raise WitnessUnreadable(f"{database.shown}: there is no till in it")
        row = rows[0]
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
            loaded=bool(row[12]),
        )

    def operations(self, name: str) -> frozenset[str]:
        """Return the op ids of all that a till has journaled; raises WitnessUnreadable."""
        return frozenset(row[0] for row in self._query(self._tills[name], "SELECT op_id FROM operation"))

    def server(self) -> ServerMark:
        """Return the server's mark; raises WitnessUnreadable."""
        server = self._servers[self.live()]
        durable = self._query(server, "SELECT till, incarnation, seq FROM journal")
        folded = self._query(server, "SELECT till, incarnation, seq FROM stock_fold")
        rest = self._query(server, "SELECT (SELECT n FROM term), (SELECT coalesce(max(xid), 0) FROM change)")
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
        found = self.server_rows(sql)[0][0]
        return None if found is None else int(found)

    def prices_changed(self, since: int, before: int) -> list[tuple[str, int, int]]:
        """Return (key, version, at_ms) of the price changes that a cursor passes between two positions."""
        sql = "SELECT key, version, at_ms FROM change WHERE tbl = 'price' AND xid >= {:d} AND xid < {:d}"
        rows = self.server_rows(sql.format(since, before))
        return [(row[0], row[1], row[2]) for row in rows]

    def till_rows(self, till: str, sql: str) -> list[tuple[Any, ...]]:
        """Read a till's database."""
        return self._query(self._tills[till], sql)

    def server_rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Read the live server's database."""
        return self._query(self._servers[self.live()], sql)

    def close(self) -> None:
        """Close what is held open."""
        with self._lock:
            lines, self._lines = self._lines, {}
        for line in lines.values():
            line.close()

    def _query(self, database: Database, sql: str) -> list[tuple[Any, ...]]:
        try:
            if database.is_sqlite:
                source = f"file:{database.file}?mode=ro"
                with contextlib.closing(sqlite3.connect(source, uri=True, timeout=READ_TIMEOUT_S)) as connection:
                    return connection.execute(sql).fetchall()
            return self._line(database).rows(sql, within_s=PG_TIMEOUT_S)
        except (sqlite3.Error, psycopg2.Error) as error:
            raise WitnessUnreadable(f"{database.shown}: {str(error).strip()}") from error

    def _line(self, database: Database) -> PgLine:
        with self._lock:
            return self._lines.setdefault(database.url, PgLine(database))
