"""The stock fold: moves what tills sold into the stock rows, apart from ingest, a bounded step at a time.

One transaction moves the marks (stock_fold) together with the rows, so that a stock row always says
exactly which part of each journal it includes.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from syncref.domain.masters import MASTER_BY_NAME, Row
from syncref.store.server_masters import Written, lock_rows, put_rows

ENTRIES_MAX = 20_000
_FOLD_LOCK = 7_238_092
_MARKS = text("""
SELECT j.till, j.incarnation, coalesce(f.seq, 0) AS seq, j.seq AS head
FROM journal j LEFT JOIN stock_fold f USING (till, incarnation)
WHERE j.seq > coalesce(f.seq, 0) ORDER BY j.till, j.incarnation
""")
_RANGE = "till = :till AND incarnation = :incarnation AND seq > :low AND seq <= :high"
# Two range scans and no join: without statistics a join of the two would be planned as a quadratic loop.
_UNCOUNTED = text(f"SELECT seq FROM receipt WHERE {_RANGE} AND status <> 'posted'")
_SOLD = text(
    f"SELECT sku, sum(qty)::bigint AS qty FROM line WHERE {_RANGE} "
    "AND seq <> ALL(CAST(:uncounted AS bigint[])) GROUP BY sku"
)
_MOVE = text("""
INSERT INTO stock_fold (till, incarnation, seq) VALUES (:till, :incarnation, :high)
ON CONFLICT (till, incarnation) DO UPDATE SET seq = excluded.seq
""")


def fold(connection: Connection, *, at_ms: int) -> tuple[int, bool]:
    """Fold new entries into the stock rows; return how many rows changed and whether there is more.

    Does nothing when another process is folding right now.
    """
    if not connection.execute(text("SELECT pg_try_advisory_xact_lock(:n)"), {"n": _FOLD_LOCK}).scalar_one():
        return 0, False
    sold: dict[Row, int] = {}
    more = False
    for mark in connection.execute(_MARKS).all():
        high = min(mark.head, mark.seq + ENTRIES_MAX)
        more = more or high < mark.head
        journal = {"till": mark.till, "incarnation": mark.incarnation, "low": mark.seq, "high": high}
        uncounted = list(connection.execute(_UNCOUNTED, journal).scalars())
        for row in connection.execute(_SOLD, {**journal, "uncounted": uncounted}):
            sold[row.sku,] = sold.get((row.sku,), 0) + row.qty
        connection.execute(_MOVE, journal)
    written = adjust_stock(connection, {key: -qty for key, qty in sold.items() if qty}, at_ms=at_ms)
    return len(written), more


def hold_folds(connection: Connection) -> None:
    """Wait for the fold that is under way, and let none begin before the end of this transaction."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _FOLD_LOCK})


def adjust_stock(connection: Connection, deltas: dict[Row, int], *, at_ms: int) -> list[Written]:
    """Add quantities (thousandths) to stock rows, by key; a row that is not there yet begins at zero."""
    if not deltas:
        return []
    spec = MASTER_BY_NAME["stock"]
    locked = lock_rows(connection, spec, deltas)
    rows: dict[Row, Row | None] = {}
    for key, delta in deltas.items():
        old = locked[key]
        before = 0 if old.deleted else int(old.values[0] or 0)
        rows[key] = (before + delta,)
    return put_rows(connection, spec, locked, rows, at_ms=at_ms)


def resolve_flags(connection: Connection) -> int:
    """Mark flags resolved whose product or receipt has come since; return how many."""
    products = connection.execute(
        text(
            "UPDATE flag SET resolved = true WHERE NOT resolved AND code = 'unknown_product' "
            "AND EXISTS (SELECT 1 FROM product p WHERE p.sku = flag.detail AND p.version > 0)"
        )
    )
    receipts = connection.execute(
        text(
            "UPDATE flag SET resolved = true WHERE NOT resolved AND code = 'unknown_receipt' "
            "AND EXISTS (SELECT 1 FROM receipt r WHERE r.receipt_no = flag.detail AND r.status = 'posted')"
        )
    )
    return products.rowcount + receipts.rowcount
