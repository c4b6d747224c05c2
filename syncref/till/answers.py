"""What the counter is answered: built once at the commit, stored with the op id, and read back for repeats."""

from __future__ import annotations

import msgspec

from syncref.core.journal_messages import Commit
from syncref.wire.entry import Continued, DayClosed, DayOpened, Receipt
from syncref.wire.till_api import (
    DayOpenAnswer,
    LineAnswer,
    PaymentAnswer,
    RateTotalAnswer,
    ReceiptAnswer,
    Sync,
    TenderTotal,
    ZAnswer,
)

Answer = ReceiptAnswer | DayOpenAnswer | ZAnswer
_KINDS: dict[str, type[ReceiptAnswer] | type[DayOpenAnswer] | type[ZAnswer]] = {
    "open": DayOpenAnswer,
    "close": ZAnswer,
}


class _Kind(msgspec.Struct):
    kind: str


def answer_of(made: Commit) -> Answer:
    """Return the answer to an operation as it was committed."""
    match made.entry:
        case Receipt():
            return _receipt(made, made.entry)
        case DayOpened():
            return DayOpenAnswer(
                op_id=made.op_id.hex(),
                business_date=made.entry.business_date,
                at_ms=made.entry.at_ms,
                float_cash=made.entry.float_cash,
                seq=made.head.seq,
            )
        case DayClosed():
            return _z(made, made.entry)
        case Continued():
            raise AssertionError("a journal is never continued at the counter")


def encode(answer: Answer) -> bytes:
    """Return the answer as it is stored under its op id."""
    return msgspec.json.encode(answer)


def decode(stored: bytes) -> Answer:
    """Return a stored answer."""
    kind = msgspec.json.decode(stored, type=_Kind).kind
    return msgspec.json.decode(stored, type=_KINDS.get(kind, ReceiptAnswer))


def with_sync(answer: Answer, *, acked: int, safe: int) -> Answer:
    """Return the answer with what the servers have by now."""
    sync: Sync = "synced" if answer.seq <= acked else "stored"
    return msgspec.structs.replace(answer, sync=sync, safe=answer.seq <= safe)


def _receipt(made: Commit, entry: Receipt) -> ReceiptAnswer:
    assert made.receipt_no is not None
    return ReceiptAnswer(
        op_id=made.op_id.hex(),
        receipt_no=made.receipt_no,
        kind=entry.kind,
        business_date=entry.business_date,
        at_ms=entry.at_ms,
        gross=entry.gross,
        tax=entry.tax,
        lines=tuple(
            LineAnswer(line_no=number, **msgspec.structs.asdict(line))
            for number, line in enumerate(entry.lines, 1)
        ),
        payments=tuple(
            PaymentAnswer(n=number, tender=payment.tender, amount=payment.amount)
            for number, payment in enumerate(entry.payments, 1)
        ),
        ref=entry.ref,
        seq=made.head.seq,
    )


def _z(made: Commit, entry: DayClosed) -> ZAnswer:
    return ZAnswer(
        op_id=made.op_id.hex(),
        business_date=entry.business_date,
        at_ms=entry.at_ms,
        sales=entry.sales,
        refunds=entry.refunds,
        voids=entry.voids,
        gross=entry.gross,
        tax=entry.tax,
        by_tender=tuple(TenderTotal(tender=p.tender, amount=p.amount) for p in entry.by_tender),
        by_rate=tuple(RateTotalAnswer(rate_bp=r.rate_bp, gross=r.gross, tax=r.tax) for r in entry.by_rate),
        counted_cash=entry.counted_cash,
        first_receipt=entry.first_receipt,
        last_receipt=entry.last_receipt,
        seq=made.head.seq,
    )
