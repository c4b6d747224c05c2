"""Cleaning a till's database: its transactions leave, its identity goes on under a new incarnation.

Keeps: DRAINING is durable before anything else; the old database is whole until one atomic step (a rename, or a
transaction on PostgreSQL) makes the new one the till's; marks of what left stay as anchors.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from syncref.domain.identity import ID_BYTES, Key, Mark, chain_hash, genesis_hash
from syncref.errors import DiskFull, RuleBroken, StorageFailed
from syncref.store.till_faults import translated
from syncref.store.till_journal import hash_at
from syncref.store.till_open import TillDatabase
from syncref.store.till_schema import anchor, continued, journal, metadata, till, trusted_time
from syncref.store.till_state import TillState, read_state, write_state
from syncref.wire.entry import Continued, encode_entry
from syncref.wire.export import Export, ExportedJournal

FRESH = ".new"
DRAINING = "draining"
_LEFT = ("-wal", "-shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """A journal of the till and how far servers and standbys have it: `end` is its last entry."""

    key: Key
    end: Mark
    acked: int
    safe: int


def begin_draining(database: TillDatabase) -> TillState:
    """Take no more sales, durably. Raises RuleBroken while a day is open."""
    with database.sale() as connection:
        state = read_state(connection, lock=True)
        if state.business_date is not None:
            raise RuleBroken(f"the day {state.business_date} is open: close it first, then clean the till")
        write_state(connection, mode=DRAINING)
    return state


def stop_draining(database: TillDatabase) -> bool:
    """Let a till that was to be cleaned sell again; return whether it was draining."""
    with database.sale() as connection:
        state = read_state(connection, lock=True)
        if state.mode != DRAINING:
            return False
        write_state(connection, mode="closed" if state.business_date is None else "selling")
    return True


def exported(database: TillDatabase, tails: Iterable[Tail]) -> Export:
    """Return what of these journals is not safe. Reads only."""
    with database.read() as connection:
        state = read_state(connection)
        journals = [
            _stretch(connection, tail, cluster=state.cluster) for tail in tails if tail.safe < tail.end.seq
        ]
    return Export(cluster=state.cluster, till=state.till, journals=tuple(journals))


def _stretch(connection: Connection, tail: Tail, *, cluster: str) -> ExportedJournal:
    rows = connection.execute(
        select(journal.c.seq, journal.c.payload)
        .where(
            journal.c.incarnation == tail.key.incarnation,
            journal.c.seq > tail.safe,
            journal.c.seq <= tail.end.seq,
        )
        .order_by(journal.c.seq)
    ).all()
    first = rows[0].seq
    previous = hash_at(connection, tail.key, first - 1, cluster=cluster)
    if previous is None or len(rows) != tail.end.seq - first + 1:
        raise StorageFailed(f"the journal does not have what is to be exported, {first} to {tail.end.seq}")
    return ExportedJournal(
        incarnation=tail.key.incarnation,
        first_seq=first,
        prev_hash=previous,
        payloads=tuple(bytes(row.payload) for row in rows),
        last_hash=tail.end.hash,
    )


def replace(database: TillDatabase, tails: Iterable[Tail], *, at_ms: int) -> Key:
    """Make the till's database a new one, with a new incarnation that continues the old; return its identity.

    No other process may use the database. Killed at any moment, either the old or the new one is there. The
    till's connections are closed afterwards.
    """
    with database.read() as connection:
        state = read_state(connection)
        times = [dict(row._mapping) for row in connection.execute(select(trusted_time))]
    if state.mode != DRAINING:
        raise RuleBroken("the till is not draining")
    key = Key(till=state.till, incarnation=secrets.token_bytes(ID_BYTES))
    rows = {**_new_rows(state, key, list(tails), at_ms=at_ms), trusted_time: times}
    if database.path is None:
        with database.sale() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
            _fill(connection, rows)
        database.reopen()
        return key
    _replace_file(database, database.path, rows)
    return key


def _new_rows(state: TillState, key: Key, tails: list[Tail], *, at_ms: int) -> dict[Any, list[dict[str, Any]]]:
    """Return the rows that the new database begins with."""
    first = encode_entry(
        Continued(
            op_id=secrets.token_bytes(ID_BYTES),
            incarnation=state.incarnation,
            seq=state.head_seq,
            hash=state.head_hash,
            at_ms=at_ms,
        )
    )
    head = chain_hash(genesis_hash(cluster=state.cluster, key=key), first)
    marks = [{"incarnation": tail.key.incarnation, "seq": tail.end.seq, "hash": tail.end.hash} for tail in tails]
    row = {
        "one": 1, "till": state.till, "cluster": state.cluster, "incarnation": key.incarnation, "head_seq": 1,
        "head_hash": head, "counter": 0, "closed_date": state.closed_date, "mode": "closed",
        "time_floor_ms": state.time_floor_ms, "acked": 0, "safe": 0, "term_n": state.term_n,
        "term_id": state.term_id, "cursor_pos": 0, "urgent_pos": 0, "stock_seq": 0, "loaded": False,
        "overlay": False,
    }  # fmt: skip
    return {
        till: [row],
        journal: [{"incarnation": key.incarnation, "seq": 1, "hash": head, "payload": first}],
        continued: marks,
        anchor: marks,
    }


def _fill(connection: Connection, rows: dict[Any, list[dict[str, Any]]]) -> None:
    for table, found in rows.items():
        if found:
            connection.execute(insert(table), found)


def _replace_file(database: TillDatabase, path: Path, rows: dict[Any, list[dict[str, Any]]]) -> None:
    fresh = Path(f"{path}{FRESH}")
    _remove(fresh)
    made = TillDatabase(f"sqlite:///{fresh}")
    try:
        made.create_tables()
        with made.sale() as connection:
            _fill(connection, rows)
        _checkpoint(made)
    except DiskFull:
        made.close()
        _remove(fresh)
        raise
    finally:
        made.close()
    # A log that is left beside the file would be taken for the new one's: both are emptied and gone before.
    _checkpoint(database)
    database.close()
    with translated(str(path)):
        for suffix in _LEFT:
            Path(f"{path}{suffix}").unlink(missing_ok=True)
            Path(f"{fresh}{suffix}").unlink(missing_ok=True)
        _sync(fresh)
        _sync(path.parent)
        fresh.replace(path)
        _sync(path.parent)


def _checkpoint(database: TillDatabase) -> None:
    """Move the whole log into the file. Raises StorageFailed when another process keeps it from that."""
    if not database.truncate_log():
        raise StorageFailed(f"{database.where} is in use by another process")


def _remove(path: Path) -> None:
    for suffix in ("", *_LEFT):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
