"""The counter: carries the journal core's effects out in the till's database, one operation at a time.

Keeps: the answer is given only after the commit is durable; a commit whose outcome is unknown is looked up in
the reopened database, never guessed; a full disk costs the reserve before it costs a sale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from syncref import errors
from syncref.core.journal import price_instant, request_hash, step
from syncref.core.journal_messages import (
    Asked,
    Commit,
    CommitFailed,
    Committed,
    DayCloseAsked,
    DayOpenAsked,
    DayTotals,
    JournalEffect,
    JournalState,
    Mode,
    Prior,
    RefundAsked,
    Refuse,
    Reopen,
    Reopened,
    Reply,
    SaleAsked,
    VoidAsked,
    WakeUplink,
)
from syncref.core.selling import Basket, Offer, PriceRow, Return
from syncref.domain.identity import Mark
from syncref.errors import DiskFull, RuleBroken, StorageFailed, SyncrefError
from syncref.store import till_catalogue, till_sales
from syncref.store.till_open import CommitUnknown, TillDatabase, what_failed
from syncref.store.till_reserve import Reserve
from syncref.store.till_state import TillState, read_state
from syncref.till.answers import Answer, answer_of, decode, encode, with_sync
from syncref.till.clock import TillClock

_ERRORS: dict[str, type[SyncrefError]] = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SyncrefError)
}
MakeAsked = Callable[[Connection, TillState, Prior | None, int], Asked]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An operation's answer, and how far the servers had the journal when it was read."""

    answer: Answer
    made_now: bool


class Checkout:
    """Runs operations of the counter. Thread-safe: the database lets one sale in at a time."""

    def __init__(
        self,
        database: TillDatabase,
        *,
        clock: TillClock,
        reserve: Reserve,
        wake_uplink: Callable[[Mark], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._reserve = reserve
        self._wake_uplink = wake_uplink

    def sell(self, *, op_id: bytes, cashier: str, basket: Basket) -> Done:
        """Sell a basket at the prices of this instant. Raises SyncrefError."""

        def make(connection: Connection, state: TillState, prior: Prior | None, instant_ms: int) -> Asked:
            if prior is None and not state.loaded:
                raise RuleBroken("the masters are not complete yet; the till sells after its first full load")
            offers = () if prior else self._offers(connection, state, basket, instant_ms)
            return SaleAsked(
                op_id=op_id,
                request_hash=request_hash("sale", basket),
                cashier=cashier,
                basket=basket,
                offers=offers,
                prior=prior,
            )

        return self._carry_out(op_id, make)

    def refund(self, *, op_id: bytes, cashier: str, asked: Return) -> Done:
        """Take lines of a receipt back. Raises SyncrefError."""

        def make(connection: Connection, state: TillState, prior: Prior | None, instant_ms: int) -> Asked:
            return RefundAsked(
                op_id=op_id,
                request_hash=request_hash("refund", asked),
                cashier=cashier,
                asked=asked,
                original=None if prior else till_sales.original(connection, asked.receipt_no),
                prior=prior,
            )

        return self._carry_out(op_id, make)

    def void(self, *, op_id: bytes, cashier: str, receipt_no: str) -> Done:
        """Take a whole receipt of the open day back. Raises SyncrefError."""

        def make(connection: Connection, state: TillState, prior: Prior | None, instant_ms: int) -> Asked:
            return VoidAsked(
                op_id=op_id,
                request_hash=request_hash("void", receipt_no),
                cashier=cashier,
                receipt_no=receipt_no,
                original=None if prior else till_sales.original(connection, receipt_no),
                prior=prior,
            )

        return self._carry_out(op_id, make)

    def open_day(self, *, op_id: bytes, cashier: str, business_date: str, float_cash: int) -> Done:
        """Open a business date. Raises SyncrefError."""

        def make(connection: Connection, state: TillState, prior: Prior | None, instant_ms: int) -> Asked:
            return DayOpenAsked(
                op_id=op_id,
                request_hash=request_hash("open", (business_date, float_cash)),
                cashier=cashier,
                business_date=business_date,
                float_cash=float_cash,
                prior=prior,
            )

        return self._carry_out(op_id, make)

    def close_day(self, *, op_id: bytes, cashier: str, counted_cash: int) -> Done:
        """Close the open day with its Z report. Raises SyncrefError."""

        def make(connection: Connection, state: TillState, prior: Prior | None, instant_ms: int) -> Asked:
            date = "" if prior or state.business_date is None else state.business_date
            return DayCloseAsked(
                op_id=op_id,
                request_hash=request_hash("close", counted_cash),
                cashier=cashier,
                counted_cash=counted_cash,
                totals=till_sales.totals(connection, date) if date else DayTotals(),
                prior=prior,
            )

        return self._carry_out(op_id, make)

    def look_up(self, op_id: bytes) -> Answer | None:
        """Return what was answered under an op id."""
        with self._database.read() as connection:
            prior = till_sales.prior(connection, op_id)
            state = read_state(connection)
        return None if prior is None else with_sync(decode(prior.result), acked=state.acked, safe=state.safe)

    def _offers(
        self, connection: Connection, state: TillState, basket: Basket, instant_ms: int
    ) -> tuple[Offer, ...]:
        skus = [line.sku for line in basket.lines]
        found = till_catalogue.items(connection, skus, at_ms=instant_ms, overlay=state.overlay)
        return tuple(_offer(item) for item in found.values())

    def _carry_out(self, op_id: bytes, make: MakeAsked) -> Done:
        while True:
            try:
                return self._once(op_id, make)
            except DiskFull:
                if not self._reserve.release():
                    raise

    def _once(self, op_id: bytes, make: MakeAsked) -> Done:
        after: JournalState | None = None
        try:
            with self._database.sale() as connection:
                state = read_state(connection, lock=True)
                before = _core_state(state)
                now_ms = self._clock.price_ms()
                asked = make(
                    connection,
                    state,
                    till_sales.prior(connection, op_id),
                    price_instant(before, now_ms=now_ms),
                )
                after, effects = step(before, asked, now_ms=now_ms)
                for effect in effects:
                    match effect:
                        case Commit():
                            result = encode(answer_of(effect))
                            till_sales.commit(connection, effect, incarnation=state.incarnation, result=result)
                        case Reply(prior=bytes() as stored):
                            if state.head.seq > state.acked:  # its commit may have been told to nobody
                                self._wake_uplink(state.head)
                            answer = with_sync(decode(stored), acked=state.acked, safe=state.safe)
                            return Done(answer=answer, made_now=False)
                        case Refuse():
                            raise _error(effect)
        except CommitUnknown as unknown:
            if after is None or after.pending is None:  # asked again: nothing was to be stored
                raise
            return self._look_after(after, unknown)
        assert after is not None
        return self._reply(*step(after, Committed(), now_ms=0))

    def _look_after(self, pending: JournalState, unknown: CommitUnknown) -> Done:
        """Reopen the database and see whether the pending commit is in it."""
        state, (reopen, *_) = step(pending, CommitFailed(definite=False), now_ms=0)
        assert isinstance(reopen, Reopen)
        self._database.reopen()
        with self._database.read() as connection:
            found = till_sales.prior(connection, reopen.op_id) is not None
        if not found:
            cause = what_failed(unknown, where=self._database.where)
            if isinstance(cause, DiskFull):
                raise cause
        return self._reply(*step(state, Reopened(found=found), now_ms=0))

    def _reply(self, _state: JournalState, effects: tuple[JournalEffect, ...]) -> Done:
        done: Done | None = None
        for effect in effects:
            match effect:
                case Reply(made=Commit() as made):
                    done = Done(answer=answer_of(made), made_now=True)
                case WakeUplink():
                    self._wake_uplink(effect.head)
                case Refuse():
                    raise _error(effect)
        assert done is not None
        return done


def _core_state(state: TillState) -> JournalState:
    return JournalState(
        key=state.key,
        head=state.head,
        counter=state.counter,
        business_date=state.business_date,
        closed_date=state.closed_date,
        mode=Mode(state.mode),
        time_floor_ms=state.time_floor_ms,
    )


def _offer(item: till_catalogue.Item) -> Offer:
    prices: tuple[PriceRow, ...] = ()
    if item.unit_price is not None and item.price_version is not None and item.valid_from_ms is not None:
        price = PriceRow(valid_from_ms=item.valid_from_ms, amount=item.unit_price, version=item.price_version)
        prices = (price,)
    return Offer(sku=item.sku, active=item.active, tax_rate_bp=item.tax_rate_bp, prices=prices)


def _error(refuse: Refuse) -> SyncrefError:
    kind = _ERRORS.get(refuse.code, StorageFailed)
    return kind(refuse.message)
