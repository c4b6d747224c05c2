"""What the standbys have: their journals' heads, told to the tills as safe, and whether a commit is replayed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from syncref.domain.identity import Key

REPLAY_WAIT_S = 1.0
NONE_WAIT_S = 0.1  # where no standby streams at all, nobody waits long for one
_LOOK_S = 0.01
_GUARDED = text("SELECT guard IS NOT NULL FROM term")
_HERE = text("SELECT pg_current_wal_insert_lsn()::text")
_REPLAYED = text("""
SELECT coalesce(bool_or(replay_lsn >= CAST(:lsn AS pg_lsn)), false) AS replayed, count(*) AS standbys
FROM pg_stat_replication WHERE state = 'streaming'
""")
_STANDBYS = text("""
SELECT application_name || coalesce('@' || host(client_addr), '') AS name, state,
  pg_wal_lsn_diff(pg_current_wal_insert_lsn(), replay_lsn)::bigint AS behind_bytes,
  (extract(epoch FROM replay_lag) * 1000)::bigint AS behind_ms
FROM pg_stat_replication WHERE NOT pg_is_in_recovery() AND state IS NOT NULL ORDER BY 1, pid
""")
_PUT = text("""
INSERT INTO standby_head (till, incarnation, term_n, seq)
SELECT till, decode(incarnation, 'hex'), :n, seq
FROM unnest(CAST(:tills AS text[]), CAST(:incarnations AS text[]), CAST(:seqs AS bigint[]))
  AS k (till, incarnation, seq)
ON CONFLICT (till, incarnation) DO UPDATE SET term_n = excluded.term_n, seq = excluded.seq
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbySeen:
    """A standby that takes this server's log. `behind_ms` is None while nothing is written."""

    name: str
    streaming: bool
    behind_bytes: int | None
    behind_ms: int | None


def read_standbys(connection: Connection) -> list[StandbySeen]:
    """Return the standbys connected now; none without a role that sees pg_stat_replication (pg_monitor)."""
    if connection.execute(text("SELECT pg_is_in_recovery()")).scalar_one():
        return []
    return [
        StandbySeen(
            name=f"{row.name}#{number}" if number else row.name, streaming=row.state == "streaming",
            behind_bytes=row.behind_bytes, behind_ms=row.behind_ms,
        )
        for number, row in _numbered(connection.execute(_STANDBYS))
    ]  # fmt: skip


def _numbered(rows: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Count rows of the same name, from 0: a base backup and a standby may both be called walreceiver."""
    seen: dict[str, int] = {}
    for row in rows:
        yield seen.setdefault(row.name, 0), row
        seen[row.name] += 1


def put_heads(connection: Connection, heads: Iterable[tuple[str, str, int]], *, term_n: int) -> None:
    """Store the (till, incarnation in hex, sequence) up to which all promotable standbys of a term are."""
    rows = sorted(heads)
    connection.execute(text("SET LOCAL synchronous_commit = 'off'"))
    connection.execute(
        _PUT,
        {
            "n": term_n,
            "tills": [r[0] for r in rows],
            "incarnations": [r[1] for r in rows],
            "seqs": [r[2] for r in rows],
        },
    )


def safe_seq(cursor: Any, key: Key, *, term_n: int) -> int:
    """Return up to which sequence a journal is on all promotable standbys of this term; 0: nothing is known."""
    cursor.execute(
        "SELECT seq FROM standby_head WHERE till = %s AND incarnation = %s AND term_n = %s",
        (key.till, key.incarnation, term_n),
    )
    found = cursor.fetchone()
    return 0 if found is None else int(found[0])


def await_replayed(engine: Engine, *, wait_s: float = REPLAY_WAIT_S) -> bool:
    """Return whether a standby has replayed all that was committed up to now; True when there are no peers.

    Waits for at most `wait_s`, and hardly at all while no standby streams. Needs a database role that sees
    pg_stat_replication (pg_monitor).
    """
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if not connection.execute(_GUARDED).scalar():
                return True
            lsn = connection.execute(_HERE).scalar_one()
            begun = time.monotonic()
            while not (found := connection.execute(_REPLAYED, {"lsn": lsn}).one()).replayed:
                if time.monotonic() - begun > (wait_s if found.standbys else NONE_WAIT_S):
                    return False
                time.sleep(_LOOK_S)
    except SQLAlchemyError:
        return False  # the document is committed; whether a standby has it nobody can say now
    return True
