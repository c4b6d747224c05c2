"""Storing what the ingest core planned: COPY per table and batch, inside the caller's transaction.

This is the hot path, so rows become COPY text in one pass, through a raw psycopg2 cursor.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from syncref.core.ingest import JournalRow, Plan, ServerView
from syncref.core.posting import Close, Posting, ReceiptRow
from syncref.domain.identity import Key, Mark, Term, genesis_hash
from syncref.store.server_copy import escape
from syncref.store.server_term import CONFIRMED_SQL, TIMELINE_SQL
from syncref.wire.entry import DayClosed
from syncref.wire.sync import HelloAnswer

_VIEW = f"""
SELECT t.cluster, t.n, t.id, t.timeline = {TIMELINE_SQL},
       NOT pg_is_in_recovery() AND fenced_by IS NULL AND {CONFIRMED_SQL}, j.seq, j.hash, j.session,
       j.closed_at_seq
FROM term t LEFT JOIN journal j ON j.till = %s AND j.incarnation = %s FOR SHARE OF t
"""
_LOCKED = """
SELECT seq, hash, session, closed_at_seq FROM journal WHERE till = %s AND incarnation = %s FOR UPDATE
"""
_ENTRY_COLUMNS = "till, incarnation, seq, hash, payload, term_n, received_ms"
_RECEIPT_COLUMNS = (
    "till, incarnation, seq, receipt_no, op_id, kind, business_date, at_ms, cashier, gross, tax, ref, status"
)
_LINE_COLUMNS = (
    "till, incarnation, seq, line_no, sku, qty, unit_price, price_version, tax_rate_bp, discount, tax, amount"
)
_PAYMENT_COLUMNS = "till, incarnation, seq, n, tender, amount"
_Z_COLUMNS = (
    "till, incarnation, seq, business_date, op_id, cashier, sales, refunds, voids, gross, tax, counted_cash, "
    "at_ms, by_tender, by_rate, first_receipt, last_receipt"
)


class _Escaped(dict[str, str]):
    """Texts as COPY wants them, each escaped once: SKUs, cashiers, dates and tenders repeat."""

    def __missing__(self, value: str) -> str:
        if len(self) > 50_000:
            self.clear()
        escaped = self[value] = escape(value)
        return escaped


_escaped = _Escaped()


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """The server as this transaction sees it, with the journal's row locked; None: no such journal."""

    view: ServerView
    row: JournalRow | None


def lock_journal(cursor: Any, key: Key) -> Locked | None:
    """Hold the term FOR SHARE and the journal's row FOR UPDATE; None when there is no term yet."""
    cursor.execute(_VIEW, (key.till, key.incarnation))
    found = cursor.fetchone()
    if found is None:
        return None
    cluster, n, term_id, timeline_ok, live, seq, *_ = found
    view = ServerView(term=Term(cluster=cluster, n=n, id=bytes(term_id)), live=live, timeline_ok=timeline_ok)
    if seq is None or not live:
        return Locked(view=view, row=None)
    cursor.execute(_LOCKED, (key.till, key.incarnation))
    seq, value, session, closed_at = cursor.fetchone()
    row = JournalRow(
        key=key,
        durable=Mark(seq=seq, hash=bytes(value)),
        session=None if session is None else bytes(session),
        closed_at=closed_at,
    )
    return Locked(view=view, row=row)


def stored_hashes(cursor: Any, key: Key, first: int, last: int) -> dict[int, bytes]:
    """Return the chain hashes stored from `first` to `last`."""
    cursor.execute(
        "SELECT seq, hash FROM entry WHERE till = %s AND incarnation = %s AND seq BETWEEN %s AND %s",
        (key.till, key.incarnation, first, last),
    )
    return {seq: bytes(value) for seq, value in cursor}


def posted_ops(cursor: Any, op_ids: Sequence[str]) -> set[bytes]:
    """Return which of these op ids (hex) belong to posted receipts."""
    if not op_ids:
        return set()
    cursor.execute("SELECT op_id FROM receipt WHERE status = 'posted' AND op_id = ANY(%s)", (list(op_ids),))
    return {bytes.fromhex(op_id) for (op_id,) in cursor}


def known_receipts(cursor: Any, numbers: Iterable[str]) -> set[str]:
    """Return which of these receipt numbers are posted."""
    wanted = [number for number in numbers if "\0" not in number]
    if not wanted:
        return set()
    cursor.execute("SELECT receipt_no FROM receipt WHERE status = 'posted' AND receipt_no = ANY(%s)", (wanted,))
    return {number for (number,) in cursor}


def known_products(cursor: Any, skus: Iterable[str]) -> set[str]:
    """Return which of these SKUs are, or ever were, products."""
    wanted = [sku for sku in skus if "\0" not in sku]
    if not wanted:
        return set()
    cursor.execute("SELECT sku FROM product WHERE version > 0 AND sku = ANY(%s)", (wanted,))
    return {sku for (sku,) in cursor}


def append_entries(
    cursor: Any, key: Key, plan: Plan, payloads: Sequence[bytes], *, term_n: int, now_ms: int
) -> None:
    """Store the bytes, which are the truth."""
    prefix = _prefix(key)
    tail = f"\t{term_n}\t{now_ms}\n"
    rows = [
        f"{prefix}{seq}\t\\\\x{value.hex()}\t\\\\x{payload.hex()}{tail}"
        for seq, (value, payload) in enumerate(zip(plan.hashes, payloads, strict=True), plan.first)
    ]
    _copy(cursor, "entry", _ENTRY_COLUMNS, rows)


def store_typed(cursor: Any, key: Key, posting: Posting) -> None:
    """Store receipts with their lines and payments, and Z reports."""
    receipts, lines, payments = receipt_rows(_prefix(key), posting.receipts)
    _copy(cursor, "receipt", _RECEIPT_COLUMNS, receipts)
    _copy(cursor, "line", _LINE_COLUMNS, lines)
    _copy(cursor, "payment", _PAYMENT_COLUMNS, payments)
    if posting.closed:
        _copy(cursor, "z_report", _Z_COLUMNS, [_z_row(_prefix(key), seq, z) for seq, z in posting.closed])


def receipt_rows(prefix: str, receipts: Iterable[ReceiptRow]) -> tuple[list[str], list[str], list[str]]:
    """Return receipts, lines and payments as COPY text rows. `prefix` holds the journal's key columns."""
    escaped = _escaped
    receipt_out: list[str] = []
    line_out: list[str] = []
    payment_out: list[str] = []
    for seq, number, receipt, status in receipts:
        start = f"{prefix}{seq}\t"
        ref = "\\N" if receipt.ref is None else escape(receipt.ref)
        receipt_out.append(
            f"{start}{number}\t{receipt.op_id.hex()}\t{receipt.kind}\t{escaped[receipt.business_date]}\t"
            f"{receipt.at_ms}\t{escaped[receipt.cashier]}\t{receipt.gross}\t{receipt.tax}\t{ref}\t{status}\n"
        )
        for n, line in enumerate(receipt.lines, 1):
            line_out.append(
                f"{start}{n}\t{escaped[line.sku]}\t{line.qty}\t{line.unit_price}\t{line.price_version}\t"
                f"{line.tax_rate_bp}\t{line.discount}\t{line.tax}\t{line.amount}\n"
            )
        for n, payment in enumerate(receipt.payments, 1):
            payment_out.append(f"{start}{n}\t{escaped[payment.tender]}\t{payment.amount}\n")
    return receipt_out, line_out, payment_out


def store_doubts(cursor: Any, key: Key, posting: Posting, *, cluster: str, now_ms: int) -> None:
    """Store flags and set-asides, and close the journals that this one continues."""
    prefix = _prefix(key)
    flags = [f"{prefix}{row.seq}\t{row.code}\t{escape(row.detail)}\n" for row in posting.flags]
    asides = [f"{prefix}{row.seq}\t{escape(row.reason)}\t{now_ms}\n" for row in posting.asides]
    _copy(cursor, "flag", "till, incarnation, seq, code, detail", flags)
    _copy(cursor, "aside", "till, incarnation, seq, reason, at_ms", asides)
    for close in posting.closes:
        if close.incarnation != key.incarnation:
            _close(
                cursor, Key(till=key.till, incarnation=close.incarnation), close, cluster=cluster, now_ms=now_ms
            )


def advance(cursor: Any, key: Key, head: Mark, *, now_ms: int) -> None:
    """Move the journal's durable mark."""
    cursor.execute(
        "UPDATE journal SET seq = %s, hash = %s, contact_ms = %s WHERE till = %s AND incarnation = %s",
        (head.seq, head.hash, now_ms, key.till, key.incarnation),
    )


def put_session(cursor: Any, key: Key, answer: HelloAnswer, *, now_ms: int) -> None:
    """Store a handshake's session, making the journal's row when it is new."""
    cursor.execute(
        "INSERT INTO journal (till, incarnation, seq, hash, session, opened_ms, contact_ms) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (till, incarnation) "
        "DO UPDATE SET session = excluded.session, contact_ms = excluded.contact_ms",
        (key.till, key.incarnation, answer.durable_seq, answer.durable_hash, answer.session, now_ms, now_ms),
    )


def _close(cursor: Any, old: Key, close: Close, *, cluster: str, now_ms: int) -> None:
    """Close an older journal of the same till at the mark that both sides have, whether or not it came before.

    Two may continue it, a till and its clone: up to the greater mark it may still come, byte for byte.
    """
    cursor.execute(
        "INSERT INTO journal (till, incarnation, seq, hash, closed_at_seq, opened_ms, contact_ms) "
        "VALUES (%s, %s, 0, %s, %s, %s, %s) ON CONFLICT (till, incarnation) "
        "DO UPDATE SET closed_at_seq = greatest(journal.closed_at_seq, excluded.closed_at_seq)",
        (old.till, old.incarnation, genesis_hash(cluster=cluster, key=old), close.seq, now_ms, now_ms),
    )


def _z_row(prefix: str, seq: int, z: DayClosed) -> str:
    tenders = msgspec.json.encode(z.by_tender).decode()
    rates = msgspec.json.encode(z.by_rate).decode()
    first, last = (("\\N" if number is None else escape(number)) for number in (z.first_receipt, z.last_receipt))
    return (
        f"{prefix}{seq}\t{escape(z.business_date)}\t{z.op_id.hex()}\t{escape(z.cashier)}\t{z.sales}\t{z.refunds}\t"
        f"{z.voids}\t{z.gross}\t{z.tax}\t{z.counted_cash}\t{z.at_ms}\t{escape(tenders)}\t{escape(rates)}\t"
        f"{first}\t{last}\n"
    )


def _prefix(key: Key) -> str:
    return f"{escape(key.till)}\t\\\\x{key.incarnation.hex()}\t"


def _copy(cursor: Any, table: str, columns: str, rows: list[str]) -> None:
    if rows:
        cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", io.BytesIO("".join(rows).encode()), 1 << 18)
