"""The term in the database: who may write. Every writing transaction reads it FOR SHARE.

A term is bound to the PostgreSQL timeline that it was opened on, so that a promoted copy (new timeline)
refuses every write until a new term is persisted. `fenced_by` is a fence that outlives restarts. With
peers, `guard` is the start of the database server for which somebody confirmed that it is still the live
one: a database that was started anew takes nothing until that happens again. So server and back office
need no word but the database's to know whether they may write.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from syncref.core.failover import Role
from syncref.domain.identity import Term
from syncref.errors import NotLive

TIMELINE_SQL = (
    "CASE WHEN pg_is_in_recovery() THEN -1"
    " ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END"
)
CONFIRMED_SQL = "(guard IS NULL OR guard = pg_postmaster_start_time())"
LIVE_SQL = f"(fenced_by IS NULL AND {CONFIRMED_SQL} AND timeline = {TIMELINE_SQL})"
_READ = (
    "SELECT cluster, n, id, timeline, fenced_by, guard IS NOT NULL AS guarded, pg_is_in_recovery() AS recovering,"
    f" {CONFIRMED_SQL} AS confirmed, {TIMELINE_SQL} AS now_timeline FROM term"
)
_CLOSED = "'-infinity'::timestamptz"


@dataclass(frozen=True, slots=True, kw_only=True)
class TermRow:
    """The persisted term and what the database is now.

    timeline      the one that the term was opened on; `now_timeline` is the database's, -1 in recovery
    fenced_by     the term number for whose sake this database takes nothing more
    guarded       there are peers, so that a start must be confirmed; `confirmed`: it is, or need not be
    """

    term: Term
    timeline: int
    now_timeline: int
    fenced_by: int | None
    guarded: bool
    confirmed: bool
    recovering: bool

    @property
    def timeline_ok(self) -> bool:
        """Whether the database is still on the timeline that the term was opened on."""
        return self.timeline == self.now_timeline

    @property
    def role(self) -> Role:
        """What this database is. PROMOTING: it left its timeline, and the new term is not open yet."""
        if self.recovering:
            return Role.STANDBY
        if self.fenced_by is not None:
            return Role.FENCED
        if not self.timeline_ok:
            return Role.PROMOTING
        return Role.LIVE if self.confirmed else Role.STARTING


def read_term(connection: Connection, *, lock: bool = False) -> TermRow | None:
    """Return the term row, None before provisioning; with `lock` it is held FOR SHARE to the end."""
    row = connection.execute(text(_READ + (" FOR SHARE" if lock else ""))).first()
    if row is None:
        return None
    return TermRow(
        term=Term(cluster=row.cluster, n=row.n, id=bytes(row.id)),
        timeline=row.timeline,
        now_timeline=row.now_timeline,
        fenced_by=row.fenced_by,
        guarded=row.guarded,
        confirmed=row.confirmed,
        recovering=row.recovering,
    )


def writable_term(connection: Connection) -> Term:
    """Return the term, held FOR SHARE. Raises NotLive when this database may not be written."""
    row = read_term(connection, lock=True)
    if row is None:
        raise NotLive("this database is not provisioned: run `syncref provision server`")
    if row.role is not Role.LIVE:
        raise NotLive(_WHY[row.role])
    return row.term


_WHY = {
    Role.STANDBY: "this database is a standby and takes no writes",
    Role.FENCED: "this server is fenced: another one is live",
    Role.PROMOTING: "the database was promoted or restored; its new term is not open yet",
    Role.STARTING: "this server started and is not confirmed yet, by a peer or the operator",
}


def persist_term(connection: Connection, term: Term, *, above: int | None = None, guarded: bool = False) -> None:
    """Make `term` the current one, on the database's present timeline; it is confirmed, and no fence is left.

    With `above`, only while the present n is not higher: of two who raise the term, one does. `guarded`:
    there are peers.
    """
    _alone_durable(connection)
    guard = "pg_postmaster_start_time()" if guarded else "NULL"
    connection.execute(
        text(
            "INSERT INTO term (one, cluster, n, id, timeline, guard) VALUES (true, :cluster, :n, :id, "
            f"{TIMELINE_SQL}, {guard}) ON CONFLICT (one) DO UPDATE SET cluster = excluded.cluster, "
            "n = excluded.n, id = excluded.id, timeline = excluded.timeline, guard = excluded.guard, "
            "fenced_by = NULL WHERE term.n <= coalesce(CAST(:above AS bigint), term.n)"
        ),
        {"above": above, "cluster": term.cluster, "n": term.n, "id": term.id},
    )


def persist_fence(connection: Connection, *, by: int) -> None:
    """Take no more writes, for the sake of term `by`. Waits for the writing transactions under way."""
    _alone_durable(connection)
    connection.execute(
        text("UPDATE term SET fenced_by = greatest(coalesce(fenced_by, 0), CAST(:by AS bigint))"), {"by": by}
    )


def close_guard(connection: Connection) -> None:
    """Take no writes until a peer or the operator confirms that this database is the live one."""
    _alone_durable(connection)
    connection.execute(text(f"UPDATE term SET guard = {_CLOSED} WHERE guard IS DISTINCT FROM {_CLOSED}"))


def open_guard(connection: Connection, *, guarded: bool) -> None:
    """Take writes again: confirmed until the database server ends, or for good when there are no peers."""
    _alone_durable(connection)
    guard = "pg_postmaster_start_time()" if guarded else "NULL"
    connection.execute(text(f"UPDATE term SET guard = {guard} WHERE guard IS DISTINCT FROM {guard}"))


def _alone_durable(connection: Connection) -> None:
    """Commit without waiting for a synchronous standby, which may be gone just now."""
    connection.execute(text("SET LOCAL synchronous_commit = 'local'"))
