"""The term in the database: who may write. Every writing transaction reads it FOR SHARE.

A term is bound to the PostgreSQL timeline that it was opened on, so that a promoted copy (new timeline)
refuses every write until a new term is persisted.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from syncref.domain.identity import Term
from syncref.errors import NotLive

TIMELINE_SQL = (
    "CASE WHEN pg_is_in_recovery() THEN -1"
    " ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END"
)
_READ = f"SELECT cluster, n, id, timeline, {TIMELINE_SQL} AS now_timeline FROM term"


@dataclass(frozen=True, slots=True, kw_only=True)
class TermRow:
    """The persisted term; `timeline_ok` says that the database is still on the timeline it was opened on."""

    term: Term
    timeline_ok: bool


def read_term(connection: Connection, *, lock: bool = False) -> TermRow | None:
    """Return the term row, None before provisioning; with `lock` it is held FOR SHARE to the end."""
    row = connection.execute(text(_READ + (" FOR SHARE" if lock else ""))).first()
    if row is None:
        return None
    term = Term(cluster=row.cluster, n=row.n, id=bytes(row.id))
    return TermRow(term=term, timeline_ok=row.timeline == row.now_timeline)


def writable_term(connection: Connection) -> Term:
    """Return the term, held FOR SHARE. Raises NotLive when this database may not be written."""
    row = read_term(connection, lock=True)
    if row is None:
        raise NotLive("this database is not provisioned: run `syncref provision server`")
    if not row.timeline_ok:
        raise NotLive("the database was promoted or restored; its new term is not open yet")
    return row.term


def persist_term(connection: Connection, term: Term, *, above: int | None = None) -> None:
    """Make `term` the current one, on the database's present timeline.

    With `above`, only while the present n is not higher: of two who raise the term, one does.
    """
    connection.execute(
        text(
            "INSERT INTO term (one, cluster, n, id, timeline) VALUES (true, :cluster, :n, :id, "
            f"{TIMELINE_SQL}) ON CONFLICT (one) DO UPDATE SET cluster = excluded.cluster, n = excluded.n, "
            "id = excluded.id, timeline = excluded.timeline "
            "WHERE term.n <= coalesce(CAST(:above AS bigint), term.n)"
        ),
        {"above": above, "cluster": term.cluster, "n": term.n, "id": term.id},
    )
