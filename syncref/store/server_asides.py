"""Entries that are not counted (set aside, or duplicates), and their one resolution each.

Keeps: an entry is written off, or posted from its own bytes by the same rules as at its arrival; never both.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import Any

import msgspec
import psycopg2
from sqlalchemy import Connection, text
from sqlalchemy import Row as SqlRow
from sqlalchemy.dialects.postgresql import insert

from syncref.core.posting import Posting, post
from syncref.domain.identity import Key
from syncref.domain.masters import Row
from syncref.errors import NotFound, RuleBroken
from syncref.store import server_ingest as store
from syncref.store.server_schema import resolution
from syncref.store.server_stock import adjust_stock, hold_folds
from syncref.wire.entry import Entry, Receipt, decode_entry

Uncounted = SqlRow[tuple[str, bytes, int, str, str | None]]
POSTED = "posted"
_PAYLOAD = (
    "SELECT e.payload FROM entry e JOIN aside a USING (till, incarnation, seq)"
    " WHERE e.till = :till AND e.incarnation = :incarnation AND e.seq = :seq"
)
_FOLDED = "SELECT seq FROM stock_fold WHERE till = :till AND incarnation = :incarnation"

_UNCOUNTED = """
SELECT o.till, o.incarnation, o.seq, o.reason, r.action AS resolution FROM (
  SELECT till, incarnation, seq, reason FROM aside
  UNION ALL SELECT till, incarnation, seq, 'op id ' || op_id || ' was posted before' FROM receipt
    WHERE status = 'duplicate') o
LEFT JOIN resolution r USING (till, incarnation, seq)
"""


def uncounted(connection: Connection, *, limit: int = 1000) -> list[Uncounted]:
    """Return entries that are not counted, unresolved ones first."""
    order = " ORDER BY r.action IS NOT NULL, o.till, o.incarnation, o.seq LIMIT :limit"
    return list(connection.execute(text(_UNCOUNTED + order), {"limit": limit}))


def resolve(
    connection: Connection, key: Key, seq: int, *, op_id: str, action: str, clerk: str, at_ms: int
) -> None:
    """Resolve an entry, once: written_off, or posted from its bytes.

    Raises NotFound, and RuleBroken when it was resolved under another op id, or still can't be posted.
    """
    where = " WHERE o.till = :till AND o.incarnation = :incarnation AND o.seq = :seq"
    of = {"till": key.till, "incarnation": key.incarnation, "seq": seq}
    if connection.execute(text(_UNCOUNTED + where), of).first() is None:
        raise NotFound(f"{key.till} has no uncounted entry {seq} in that journal")
    row = insert(resolution).values(**of, op_id=op_id, action=action, clerk=clerk, at_ms=at_ms)
    if connection.execute(row.on_conflict_do_nothing().returning(resolution.c.seq)).first() is None:
        raise RuleBroken(f"entry {seq} of {key.till} is resolved already")
    if action == POSTED:
        _post(connection, key, seq, at_ms=at_ms)


def _post(connection: Connection, key: Key, seq: int, *, at_ms: int) -> None:
    """Post one entry as ingest would, and move the stock that was folded without it.

    Nothing is folded meanwhile: a fold that has read the lines without these would move its mark past them.
    """
    hold_folds(connection)
    of = {"till": key.till, "incarnation": key.incarnation, "seq": seq}
    payload = connection.execute(text(_PAYLOAD), of).scalar()
    if payload is None:
        raise RuleBroken(f"entry {seq} of {key.till} is a duplicate: its sale is posted already, write it off")
    entry = _decoded(bytes(payload))
    cluster = str(connection.execute(text("SELECT cluster FROM term")).scalar_one())
    with closing(connection.connection.cursor()) as cursor:
        posting = _posting(cursor, key, seq, entry)
        cursor.execute("SAVEPOINT again")
        try:
            store.store_typed(cursor, key, posting)
            store.store_doubts(cursor, key, posting, cluster=cluster, now_ms=at_ms)
        except (psycopg2.DataError, psycopg2.IntegrityError) as error:
            cursor.execute("ROLLBACK TO SAVEPOINT again")
            raise RuleBroken(f"entry {seq} still can't be posted: {str(error).splitlines()[0]}") from error
    folded = connection.execute(text(_FOLDED), of).scalar() or 0
    if isinstance(entry, Receipt) and seq <= folded:
        sold: Counter[Row] = Counter()
        for line in entry.lines:
            sold[line.sku,] -= line.qty
        adjust_stock(connection, dict(sold), at_ms=at_ms)


def _posting(cursor: Any, key: Key, seq: int, entry: Entry) -> Posting:
    receipts = [entry] if isinstance(entry, Receipt) else []
    posting = post(
        key,
        seq,
        [entry],
        known_ops=store.posted_ops(cursor, [receipt.op_id.hex() for receipt in receipts]),
        receipts=store.known_receipts(cursor, {receipt.ref for receipt in receipts if receipt.ref is not None}),
        products=store.known_products(cursor, {line.sku for receipt in receipts for line in receipt.lines}),
        awaited=(),
    )
    if posting.asides:
        raise RuleBroken(f"entry {seq} still can't be posted: {posting.asides[0].reason}")
    if any(row.status != "posted" for row in posting.receipts):
        raise RuleBroken(f"entry {seq} has an op id that is posted already: write it off")
    return posting


def _decoded(payload: bytes) -> Entry:
    try:
        return decode_entry(payload)
    except msgspec.DecodeError as error:
        raise RuleBroken(f"the entry still can't be decoded: {error}") from error
