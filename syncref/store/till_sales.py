"""Operations of the counter in the till's database: looked up, and committed whole or not at all.

Keeps: receipt, lines, payments, journal entry, op id with its result, counter and head in one transaction.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select

from syncref.core.journal_messages import Commit, DayTotals, Prior
from syncref.core.selling import Original
from syncref.errors import StorageCorrupt
from syncref.store.till_rebase import lineage
from syncref.store.till_schema import journal, line, operation, payment, receipt, z_report
from syncref.store.till_state import write_state
from syncref.wire.entry import DayClosed, Payment, RateTotal, Receipt, decode_entry

_PRIOR = select(operation.c.request_hash, operation.c.result)


def prior(connection: Connection, op_id: bytes) -> Prior | None:
    """Return what was answered under an op id before, if anything was."""
    row = connection.execute(_PRIOR.where(operation.c.op_id == op_id.hex())).one_or_none()
    return None if row is None else Prior(request_hash=bytes(row.request_hash), result=bytes(row.result))


def commit(connection: Connection, made: Commit, *, incarnation: bytes, result: bytes) -> None:
    """Store an operation with everything that follows from it. `result` is the answer, as JSON."""
    entry = made.entry
    at = {"incarnation": incarnation, "seq": made.head.seq}
    connection.execute(insert(journal), {**at, "hash": made.head.hash, "payload": made.payload})
    if isinstance(entry, Receipt):
        assert made.receipt_no is not None
        _insert_receipt(connection, at, entry, made.receipt_no)
    elif isinstance(entry, DayClosed):
        _insert_z(connection, at, entry)
    connection.execute(
        insert(operation),
        {"op_id": made.op_id.hex(), "kind": made.kind, "request_hash": made.request_hash, "result": result},
    )
    write_state(
        connection,
        head_seq=made.head.seq,
        head_hash=made.head.hash,
        counter=made.counter,
        business_date=made.business_date,
        closed_date=made.closed_date,
        mode=made.mode.value,
        time_floor_ms=made.time_floor_ms,
    )


def _insert_receipt(connection: Connection, at: dict[str, Any], entry: Receipt, receipt_no: str) -> None:
    connection.execute(
        insert(receipt),
        {
            **at,
            "receipt_no": receipt_no,
            "op_id": entry.op_id.hex(),
            "kind": entry.kind,
            "business_date": entry.business_date,
            "at_ms": entry.at_ms,
            "cashier": entry.cashier,
            "gross": entry.gross,
            "tax": entry.tax,
            "ref": entry.ref,
        },
    )
    lines = [{**at, "line_no": number, **msgspec.structs.asdict(row)} for number, row in enumerate(entry.lines, 1)]
    connection.execute(insert(line), lines)
    payments = [{**at, "n": number, **msgspec.structs.asdict(row)} for number, row in enumerate(entry.payments, 1)]
    connection.execute(insert(payment), payments)


def _insert_z(connection: Connection, at: dict[str, Any], entry: DayClosed) -> None:
    row = msgspec.structs.asdict(entry)
    del row["chain_head"]
    row["op_id"] = entry.op_id.hex()
    row["by_tender"] = msgspec.json.encode(entry.by_tender).decode()
    row["by_rate"] = msgspec.json.encode(entry.by_rate).decode()
    connection.execute(insert(z_report), {**at, **row})


def original(connection: Connection, receipt_no: str) -> Original | None:
    """Return a receipt of this till with what was taken back of it, if it is one of this till's."""
    row = connection.execute(
        select(receipt.c.incarnation, receipt.c.seq).where(receipt.c.receipt_no == receipt_no)
    ).one_or_none()
    if row is None:
        return None
    returns = connection.execute(
        select(receipt.c.incarnation, receipt.c.seq).where(receipt.c.ref == receipt_no).order_by(receipt.c.seq)
    ).all()
    return Original(
        receipt=_receipt(connection, row.incarnation, row.seq),
        returns=tuple(_receipt(connection, back.incarnation, back.seq) for back in returns),
    )


def _receipt(connection: Connection, incarnation: bytes, seq: int) -> Receipt:
    payload = connection.execute(
        select(journal.c.payload).where(journal.c.incarnation == incarnation, journal.c.seq == seq)
    ).scalar_one()
    entry = decode_entry(bytes(payload))
    if not isinstance(entry, Receipt):
        raise StorageCorrupt(f"journal entry {seq} is no receipt, though a receipt row names it")
    return entry


def totals(connection: Connection, business_date: str) -> DayTotals:
    """Return the sums over the receipts of a business date."""
    of_date = receipt.c.business_date == business_date
    kinds: Counter[str] = Counter()
    gross = tax = 0
    by_kind = (
        select(receipt.c.kind, func.count(), func.sum(receipt.c.gross), func.sum(receipt.c.tax))
        .where(of_date)
        .group_by(receipt.c.kind)
    )
    for kind, count, kind_gross, kind_tax in connection.execute(by_kind):
        kinds[kind] = count
        gross += int(kind_gross)
        tax += int(kind_tax)
    first, last = _ends(connection, business_date)
    return DayTotals(
        sales=kinds["sale"],
        refunds=kinds["refund"],
        voids=kinds["void"],
        gross=gross,
        tax=tax,
        by_tender=_by_tender(connection, business_date),
        by_rate=_by_rate(connection, business_date),
        first_receipt=first,
        last_receipt=last,
    )


def _ends(connection: Connection, business_date: str) -> tuple[str | None, str | None]:
    """Return the first and last receipt number of a date, in the order in which the journals continue."""
    spans = connection.execute(
        select(receipt.c.incarnation, func.min(receipt.c.seq).label("low"), func.max(receipt.c.seq).label("high"))
        .where(receipt.c.business_date == business_date)
        .group_by(receipt.c.incarnation)
    ).all()
    if not spans:
        return None, None
    if len(spans) > 1:
        rank = {incarnation: place for place, incarnation in enumerate(lineage(connection))}
        spans = sorted(spans, key=lambda span: rank.get(bytes(span.incarnation), -1))
    first, last = (
        connection.execute(
            select(receipt.c.receipt_no).where(receipt.c.incarnation == incarnation, receipt.c.seq == seq)
        ).scalar_one()
        for incarnation, seq in ((spans[0].incarnation, spans[0].low), (spans[-1].incarnation, spans[-1].high))
    )
    return first, last


def _by_tender(connection: Connection, business_date: str) -> tuple[Payment, ...]:
    sums: defaultdict[str, int] = defaultdict(int)
    rows = connection.execute(
        select(payment.c.tender, func.sum(payment.c.amount))
        .join_from(
            receipt,
            payment,
            (payment.c.incarnation == receipt.c.incarnation) & (payment.c.seq == receipt.c.seq),
        )
        .where(receipt.c.business_date == business_date)
        .group_by(payment.c.tender)
    )
    for tender, amount in rows:
        sums[tender] += int(amount)
    return tuple(Payment(tender=tender, amount=sums[tender]) for tender in sorted(sums))


def _by_rate(connection: Connection, business_date: str) -> tuple[RateTotal, ...]:
    rows = connection.execute(
        select(line.c.tax_rate_bp, func.sum(line.c.amount), func.sum(line.c.tax))
        .join_from(
            receipt,
            line,
            (line.c.incarnation == receipt.c.incarnation) & (line.c.seq == receipt.c.seq),
        )
        .where(receipt.c.business_date == business_date)
        .group_by(line.c.tax_rate_bp)
        .order_by(line.c.tax_rate_bp)
    )
    return tuple(RateTotal(rate_bp=rate, gross=int(gross), tax=int(tax)) for rate, gross, tax in rows)
