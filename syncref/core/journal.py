"""The till's journal: each sale is one entry in one local transaction, and answered only once durable.

One operation at a time: `pending` holds the commit that is being carried out, and the next operation is
asked after `Committed`, `CommitFailed` or `Reopened` has answered it. The same op id with the same request
always gives the same answer; the op id is looked up by the shell and arrives as `prior`.
"""

from __future__ import annotations

import hashlib

import msgspec

from syncref.core.journal_messages import (
    Asked,
    Commit,
    CommitFailed,
    Committed,
    DayCloseAsked,
    DayOpenAsked,
    DrainAsked,
    Froze,
    JournalEvent,
    JournalState,
    JournalStep,
    Mode,
    OperationKind,
    PersistMode,
    Rebased,
    RefundAsked,
    Refuse,
    Reopen,
    Reopened,
    Reply,
    SaleAsked,
    VoidAsked,
    WakeUplink,
)
from syncref.core.selling import Basket, Original, Return, Sums, priced, returned, voided
from syncref.core.step import Step, replace
from syncref.domain.identity import ID_BYTES, Mark, chain_hash, number_prefix, receipt_number
from syncref.errors import RuleBroken
from syncref.wire.entry import ENTRY_BYTES_MAX, DayClosed, DayOpened, Entry, Receipt, ReceiptKind, encode_entry


def request_hash(kind: OperationKind, request: Basket | Return | str | tuple[str, int] | int) -> bytes:
    """Return what makes two requests under one op id the same or not."""
    return hashlib.sha256(msgspec.msgpack.encode((kind, request))).digest()


def price_instant(state: JournalState, *, now_ms: int) -> int:
    """Return the instant whose prices are used: the till's clock, but never going back."""
    return max(state.time_floor_ms, now_ms)


def step(state: JournalState, event: JournalEvent, *, now_ms: int) -> JournalStep:
    """Advance the journal. `now_ms` is the till's own clock."""
    match event:
        case Committed():
            return _committed(state)
        case CommitFailed():
            return _failed(state, event)
        case Reopened():
            return _reopened(state, event)
        case Rebased():
            return _rebased(state, event)
        case DrainAsked() | Froze():
            mode = Mode.FROZEN if isinstance(event, Froze) else Mode.DRAINING
            return Step(replace(state, mode=mode), (PersistMode(mode=mode),))
        case _:
            return _asked(state, event, now_ms)


def _asked(state: JournalState, event: Asked, now_ms: int) -> JournalStep:
    assert state.pending is None, "one operation at a time"
    if event.prior is not None:
        if event.prior.request_hash == event.request_hash:
            return Step(state, (Reply(op_id=event.op_id, prior=event.prior.result),))
        message = "this op id was used for another request"
        return Step(
            state,
            (Refuse(op_id=event.op_id, code="operation_reused", message=message, definite=True),),
        )
    try:
        commit = _commit(state, event, price_instant(state, now_ms=now_ms))
    except RuleBroken as refused:
        return Step(
            state,
            (Refuse(op_id=event.op_id, code=refused.code, message=refused.message, definite=True),),
        )
    return Step(replace(state, pending=commit), (commit,))


def _commit(state: JournalState, event: Asked, at_ms: int) -> Commit:
    """Return the transaction that carries an operation out, or raise RuleBroken."""
    if len(event.op_id) != ID_BYTES:
        raise RuleBroken(f"an op id has {ID_BYTES} bytes")
    _check_mode(state, event)
    match event:
        case SaleAsked():
            sums = priced(event.basket, event.offers, instant_ms=at_ms)
            return _receipt(state, event, "sale", sums, at_ms, ref=None)
        case RefundAsked():
            _check_own(state, event.asked.receipt_no, event.original)
            sums = returned(event.asked, event.original)
            return _receipt(state, event, "refund", sums, at_ms, ref=event.asked.receipt_no)
        case VoidAsked():
            if event.original is None or event.original.receipt.business_date != state.business_date:
                raise RuleBroken(f"receipt {event.receipt_no} is not of this till and day")
            return _receipt(state, event, "void", voided(event.original), at_ms, ref=event.receipt_no)
        case DayOpenAsked():
            return _day_open(state, event, at_ms)
        case DayCloseAsked():
            return _day_close(state, event, at_ms)


def _check_mode(state: JournalState, event: Asked) -> None:
    if state.mode is Mode.FROZEN:
        raise RuleBroken("the till's journal is frozen")
    if isinstance(event, DayOpenAsked):
        if state.mode is not Mode.CLOSED or state.business_date is not None:
            raise RuleBroken("a day is open already, or the till is draining")
        return
    if state.business_date is None:
        raise RuleBroken("no day is open")
    if state.mode is Mode.DRAINING and not isinstance(event, DayCloseAsked):
        raise RuleBroken("the till is draining and takes nothing new")


def _check_own(state: JournalState, receipt_no: str, original: Original | None) -> None:
    """Refuse a refund of a receipt that this till has not written, or in another spelling than the printed."""
    journal, _, number = receipt_no.rpartition("-")
    if original is not None or journal.rpartition("-")[0] != state.key.till:
        return
    counter = int(number) if number.isdecimal() else 0
    most = state.counter if f"{journal}-" == number_prefix(state.key) else counter
    if not 1 <= counter <= most or number != f"{counter:06d}":
        raise RuleBroken(f"this till wrote no receipt {receipt_no}")


def _receipt(
    state: JournalState,
    event: SaleAsked | RefundAsked | VoidAsked,
    kind: ReceiptKind,
    sums: Sums,
    at_ms: int,
    *,
    ref: str | None,
) -> Commit:
    assert state.business_date is not None
    counter = state.counter + 1
    entry = Receipt(
        op_id=event.op_id,
        kind=kind,
        counter=counter,
        business_date=state.business_date,
        at_ms=at_ms,
        cashier=event.cashier,
        lines=sums.lines,
        payments=sums.payments,
        gross=sums.gross,
        tax=sums.tax,
        ref=ref,
    )
    number = receipt_number(key=state.key, counter=counter)
    return _journaled(replace(state, counter=counter), event, kind, entry, at_ms, receipt_no=number)


def _day_open(state: JournalState, event: DayOpenAsked, at_ms: int) -> Commit:
    date = event.business_date
    if not _is_date(date):
        raise RuleBroken(f"business date {date!r} is not YYYY-MM-DD")
    if state.closed_date is not None and date <= state.closed_date:
        raise RuleBroken(f"business date {date} is not after {state.closed_date}, the last closed")
    if not 0 <= event.float_cash <= 2**53:
        raise RuleBroken("float_cash is not a sum of money")
    entry = DayOpened(
        op_id=event.op_id,
        business_date=date,
        at_ms=at_ms,
        cashier=event.cashier,
        float_cash=event.float_cash,
    )
    opened = replace(state, business_date=date, mode=Mode.SELLING)
    return _journaled(opened, event, "open", entry, at_ms, receipt_no=None)


def _day_close(state: JournalState, event: DayCloseAsked, at_ms: int) -> Commit:
    assert state.business_date is not None
    if not 0 <= event.counted_cash <= 2**53:
        raise RuleBroken("counted_cash is not a sum of money")
    totals = event.totals
    entry = DayClosed(
        op_id=event.op_id,
        business_date=state.business_date,
        at_ms=at_ms,
        cashier=event.cashier,
        sales=totals.sales,
        refunds=totals.refunds,
        voids=totals.voids,
        gross=totals.gross,
        tax=totals.tax,
        by_tender=totals.by_tender,
        by_rate=totals.by_rate,
        counted_cash=event.counted_cash,
        first_receipt=totals.first_receipt,
        last_receipt=totals.last_receipt,
        chain_head=state.head.hash,
    )
    mode = Mode.DRAINING if state.mode is Mode.DRAINING else Mode.CLOSED
    closed = replace(state, business_date=None, closed_date=state.business_date, mode=mode)
    return _journaled(closed, event, "close", entry, at_ms, receipt_no=None)


def _journaled(
    after: JournalState, event: Asked, kind: OperationKind, entry: Entry, at_ms: int, *, receipt_no: str | None
) -> Commit:
    """Return the commit of an entry; `after` is the state with everything but the head moved on."""
    payload = encode_entry(entry)
    if len(payload) > ENTRY_BYTES_MAX:
        raise RuleBroken(f"the receipt takes {len(payload)} bytes, more than {ENTRY_BYTES_MAX}")
    return Commit(
        op_id=event.op_id,
        kind=kind,
        request_hash=event.request_hash,
        entry=entry,
        payload=payload,
        receipt_no=receipt_no,
        head=Mark(seq=after.head.seq + 1, hash=chain_hash(after.head.hash, payload)),
        counter=after.counter,
        business_date=after.business_date,
        closed_date=after.closed_date,
        mode=after.mode,
        time_floor_ms=at_ms,
    )


def _committed(state: JournalState) -> JournalStep:
    commit = state.pending
    assert commit is not None, "Committed answers a Commit"
    after = replace(
        state,
        head=commit.head,
        counter=commit.counter,
        business_date=commit.business_date,
        closed_date=commit.closed_date,
        mode=commit.mode,
        time_floor_ms=commit.time_floor_ms,
        pending=None,
    )
    return Step(after, (Reply(op_id=commit.op_id, made=commit), WakeUplink(head=commit.head)))


def _failed(state: JournalState, event: CommitFailed) -> JournalStep:
    commit = state.pending
    assert commit is not None, "CommitFailed answers a Commit"
    if not event.definite:
        return Step(state, (Reopen(op_id=commit.op_id),))
    refuse = Refuse(op_id=commit.op_id, code=event.code, message="it was not stored", definite=True)
    return Step(replace(state, pending=None), (refuse,))


def _reopened(state: JournalState, event: Reopened) -> JournalStep:
    commit = state.pending
    assert commit is not None, "Reopened answers a Reopen"
    if event.found:
        return _committed(state)
    refuse = Refuse(op_id=commit.op_id, code="storage_failed", message="it was not stored", definite=True)
    return Step(replace(state, pending=None), (refuse,))


def _rebased(state: JournalState, event: Rebased) -> JournalStep:
    """Go on in the new incarnation; a till that was frozen for it sells again."""
    assert state.pending is None, "a rebase takes the journal alone"
    mode = state.mode
    if mode is Mode.FROZEN:
        mode = Mode.CLOSED if state.business_date is None else Mode.SELLING
    after = replace(state, key=event.key, head=event.head, counter=event.counter, mode=mode)
    return Step(after, (PersistMode(mode=mode), WakeUplink(head=event.head)))


def _is_date(text: str) -> bool:
    """Return whether a text is a calendar date YYYY-MM-DD (ASCII digits)."""
    if len(text) != 10 or not text.isascii() or text[4] != "-" or text[7] != "-":
        return False
    year, month, day = text[:4], text[5:7], text[8:]
    if not (year.isdigit() and month.isdigit() and day.isdigit()):
        return False
    leap = int(year) % 4 == 0 and (int(year) % 100 != 0 or int(year) % 400 == 0)
    days = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return 1 <= int(month) <= 12 and 1 <= int(day) <= days[int(month) - 1]
