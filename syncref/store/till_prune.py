"""Pruning: what is on every standby, tallied and old enough leaves the till, and an anchor stays.

Keeps: op ids with their answers and Z reports stay for ever; the journal stays a chain from its anchor on.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select, update

from syncref.domain.identity import Key, Mark
from syncref.store.till_open import TillDatabase
from syncref.store.till_schema import anchor, journal, line, payment, receipt, z_report
from syncref.store.till_state import read_state

_ENTRIES = 500


def closed_days(connection: Connection, *, safe: int, before_ms: int) -> list[tuple[str, int]]:
    """Return (business date, sequence of its Z), oldest first, of days that may go once they are tallied.

    `safe` bounds the sequence, `before_ms` when the Z was made. A day is there only with all before it.
    """
    state = read_state(connection)
    lowest = anchor_of(connection, state.key)
    rows = connection.execute(
        select(z_report.c.business_date, z_report.c.seq, z_report.c.at_ms)
        .where(z_report.c.incarnation == state.incarnation, z_report.c.seq > (lowest.seq if lowest else 0))
        .order_by(z_report.c.seq)
    )
    days = []
    for row in rows:
        if row.seq > min(safe, state.stock_seq) or row.at_ms > before_ms:
            break
        days.append((row.business_date, row.seq))
    return days


def prunable(days: list[tuple[str, int]], tallied: Collection[str]) -> int:
    """Return the last sequence that may go: that of the last day before the first that is not tallied."""
    last = 0
    for date, seq in days:
        if date not in tallied:
            break
        last = seq
    return last


def prune(database: TillDatabase, key: Key, up_to: int) -> Mark | None:
    """Remove one bounded step of entries up to a sequence; return the new anchor, None when nothing is left."""
    with database.step() as connection:
        of_key = journal.c.incarnation == key.incarnation
        found = connection.execute(
            select(journal.c.seq, journal.c.hash)
            .where(of_key, journal.c.seq <= up_to)
            .order_by(journal.c.seq)
            .limit(_ENTRIES)
        ).all()
        if not found:
            return None
        mark = Mark(seq=found[-1].seq, hash=bytes(found[-1].hash))
        for table in (line, payment, receipt, journal):
            gone = (table.c.incarnation == key.incarnation) & (table.c.seq <= mark.seq)
            connection.execute(delete(table).where(gone))
        values = {"seq": mark.seq, "hash": mark.hash}
        changed = connection.execute(update(anchor).where(anchor.c.incarnation == key.incarnation).values(values))
        if not changed.rowcount:
            connection.execute(insert(anchor), {"incarnation": key.incarnation, **values})
    return mark


def anchor_of(connection: Connection, key: Key) -> Mark | None:
    """Return the last pruned mark of a journal, None when nothing of it is pruned."""
    row = connection.execute(select(anchor).where(anchor.c.incarnation == key.incarnation)).one_or_none()
    return None if row is None else Mark(seq=row.seq, hash=bytes(row.hash))
