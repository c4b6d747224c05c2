"""The journal core: one operation, one entry, one answer."""

from __future__ import annotations

from calendar import monthrange

import pytest

from syncref.core import journal
from syncref.core.journal_messages import (
    Asked,
    Commit,
    CommitFailed,
    Committed,
    DayCloseAsked,
    DayOpenAsked,
    DayTotals,
    DrainAsked,
    Froze,
    JournalState,
    Mode,
    PersistMode,
    Prior,
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
from syncref.core.selling import (
    Basket,
    LineAsked,
    LineReturned,
    Offer,
    Original,
    PaymentAsked,
    PriceRow,
    Return,
)
from syncref.core.step import replace
from syncref.domain.identity import Key, Mark, chain_hash, genesis_hash
from syncref.wire.entry import DayClosed, Receipt, decode_entry

KEY = Key(till="T01", incarnation=bytes(range(16)))
CLOSED = JournalState(key=KEY, head=Mark(seq=0, hash=genesis_hash(cluster="lab", key=KEY)))
OFFER = Offer(
    sku="milk",
    active=True,
    tax_rate_bp=700,
    prices=(
        PriceRow(valid_from_ms=0, amount=119, version=1),
        PriceRow(valid_from_ms=5000, amount=99, version=2),
    ),
)
CASH = (PaymentAsked(tender="cash", amount=None),)
NO_TOTALS = DayTotals()
BASKET = Basket(lines=(LineAsked(sku="milk", qty=1000),), payments=CASH)


def op(number: int) -> bytes:
    """Return an op id."""
    return number.to_bytes(16, "big")


def sale(number: int, *, prior: Prior | None = None, basket: Basket = BASKET) -> SaleAsked:
    """Return a sale asked for."""
    asked = journal.request_hash("sale", basket)
    return SaleAsked(
        op_id=op(number), request_hash=asked, cashier="C", basket=basket, offers=(OFFER,), prior=prior
    )


def opening(date: str = "2026-01-02", number: int = 900) -> DayOpenAsked:
    """Return a day to open."""
    return DayOpenAsked(
        op_id=op(number), request_hash=b"", cashier="C", business_date=date, float_cash=100, prior=None
    )


def closing(totals: DayTotals = NO_TOTALS) -> DayCloseAsked:
    """Return the day to close."""
    return DayCloseAsked(op_id=op(901), request_hash=b"", cashier="C", counted_cash=1, totals=totals, prior=None)


def commit(state: JournalState, event: Asked, now_ms: int = 1000) -> tuple[JournalState, Commit]:
    """Carry an operation out."""
    pending = journal.step(state, event, now_ms=now_ms)
    made = pending.effects[0]
    assert isinstance(made, Commit), made
    done = journal.step(pending.state, Committed(), now_ms=now_ms)
    assert done.effects == (Reply(op_id=event.op_id, made=made), WakeUplink(head=made.head))
    return done.state, made


def refused(state: JournalState, event: Asked) -> str:
    """Return the code of a definite refusal, which leaves the state as it was."""
    after = journal.step(state, event, now_ms=1000)
    assert after.state == state
    (effect,) = after.effects
    assert isinstance(effect, Refuse)
    assert effect.definite
    assert effect.message
    return effect.code


OPEN = commit(CLOSED, opening())[0]


def test_nothing_is_answered_before_the_commit_is_durable() -> None:
    """The only effect of a sale is its commit."""
    assert [type(e) for e in journal.step(OPEN, sale(1), now_ms=0).effects] == [Commit]


def test_a_sale_extends_the_chain_and_numbers_its_receipt() -> None:
    """Sequence, hash, counter and number follow from the state before."""
    after, made = commit(OPEN, sale(1))
    assert after.head == Mark(seq=2, hash=chain_hash(OPEN.head.hash, made.payload))
    assert made.receipt_no == "T01-AAAQE-000001"
    entry = decode_entry(made.payload)
    assert isinstance(entry, Receipt)
    assert (entry.counter, entry.business_date, entry.gross) == (1, "2026-01-02", 119)
    assert commit(after, sale(2))[1].receipt_no == "T01-AAAQE-000002"


def test_the_same_request_gets_the_same_answer_and_another_one_is_refused() -> None:
    """Even when the till is closed: the answer was given before."""
    prior = Prior(request_hash=sale(1).request_hash, result=b"as it was")
    for state in (OPEN, CLOSED):
        again = journal.step(state, sale(1, prior=prior), now_ms=0)
        assert again == (state, (Reply(op_id=op(1), prior=b"as it was"),))
    edited = Basket(lines=(LineAsked(sku="milk", qty=2000),), payments=CASH)
    assert refused(OPEN, sale(1, prior=prior, basket=edited)) == "operation_reused"


def test_a_failed_commit_uses_up_no_number() -> None:
    """Counter and head move with the commit only."""
    pending = journal.step(OPEN, sale(1), now_ms=0)
    failed = journal.step(pending.state, CommitFailed(definite=True, code="disk_full"), now_ms=0)
    assert failed.state == OPEN
    assert isinstance(failed.effects[0], Refuse)
    assert failed.effects[0].code == "disk_full"


@pytest.mark.parametrize("found", [True, False])
def test_an_unknown_outcome_is_looked_up_never_guessed(found: bool) -> None:
    """The store is opened anew; the op id's presence decides."""
    pending = journal.step(OPEN, sale(1), now_ms=0)
    unknown = journal.step(pending.state, CommitFailed(definite=False), now_ms=0)
    assert unknown == (pending.state, (Reopen(op_id=op(1)),))
    settled = journal.step(unknown.state, Reopened(found=found), now_ms=0)
    assert settled.state.head.seq == (2 if found else 1)
    assert settled.state.pending is None
    said = Refuse(op_id=op(1), code="storage_failed", message="it was not stored", definite=True)
    assert isinstance(settled.effects[0], Reply) if found else settled.effects == (said,)


def test_prices_never_go_back_when_the_clock_does() -> None:
    """Once the new price was used, an earlier clock does not bring the old one back."""
    after, made = commit(OPEN, sale(1), now_ms=6000)
    later, again = commit(after, sale(2), now_ms=10)
    assert isinstance(made.entry, Receipt)
    assert isinstance(again.entry, Receipt)
    assert made.entry.lines[0].price_version == again.entry.lines[0].price_version == 2
    assert again.entry.at_ms == 6000
    assert journal.price_instant(later, now_ms=7000) == 7000


def test_the_business_date_moves_forward_only_and_only_with_open_and_close() -> None:
    """No two open days, no day twice, no date that is none."""
    assert refused(OPEN, opening("2026-01-03")) == "rule_broken"
    closed, _ = commit(OPEN, closing())
    assert closed.business_date is None
    for date in ("2026-01-02", "2026-01-01", "2026-02-29", "2026-13-01", "20260103xx", "2026-01-3 "):
        assert refused(closed, opening(date)) == "rule_broken", date
    assert commit(closed, opening("2026-01-03"))[0].business_date == "2026-01-03"
    assert refused(closed, sale(1)) == "rule_broken"
    assert refused(closed, closing()) == "rule_broken"


def test_closing_states_the_totals_and_the_chain_head_in_one_entry() -> None:
    """Z is the close, not something after it."""
    totals = DayTotals(
        sales=1, gross=119, tax=8, by_tender=(("cash", 119),), by_rate=((700, 119, 8),), first_receipt="a",
        last_receipt="b",
    )  # fmt: skip
    _, made = commit(commit(OPEN, sale(1))[0], closing(totals))
    assert isinstance(made.entry, DayClosed)
    assert (made.entry.sales, made.entry.gross) == (1, 119)
    assert (made.entry.first_receipt, made.entry.last_receipt) == ("a", "b")
    assert (made.entry.by_tender, made.entry.by_rate) == (totals.by_tender, totals.by_rate)
    assert made.entry.chain_head == commit(OPEN, sale(1))[0].head.hash


def refund(receipt_no: str, original: Original | None) -> RefundAsked:
    """Return a refund of one milk."""
    line = LineReturned(sku="milk", qty=1000, unit_price=119, price_version=1, tax_rate_bp=700)
    asked = Return(receipt_no=receipt_no, lines=(line,), payments=CASH)
    return RefundAsked(op_id=op(50), request_hash=b"", cashier="C", asked=asked, original=original, prior=None)


def test_a_refund_of_another_tills_receipt_is_taken_one_of_an_unwritten_own_is_not() -> None:
    """An own number beyond the counter was never printed."""
    assert commit(OPEN, refund("T02-AAAAA-000009", None))[1].kind == "refund"
    assert refused(OPEN, refund("T01-AAAQE-000001", None)) == "rule_broken"
    sold, made = commit(OPEN, sale(1))
    assert isinstance(made.entry, Receipt)
    entry = commit(sold, refund("T01-AAAQE-000001", Original(receipt=made.entry)))[1].entry
    assert isinstance(entry, Receipt)
    assert (entry.gross, entry.ref) == (-119, "T01-AAAQE-000001")


@pytest.mark.parametrize("number", ["1", "0000001", "00000\u0661", "000000", "00000\u00b2", ""])
@pytest.mark.parametrize("journal", ["T01-AAAQE", "T01-BBBBB"])
def test_an_own_number_that_is_spelled_otherwise_is_no_way_around_what_was_paid(journal: str, number: str) -> None:
    """The receipt is not found by it, and what the request says would be taken at its word, again and again."""
    assert refused(commit(OPEN, sale(1))[0], refund(f"{journal}-{number}", None)) == "rule_broken"
    assert commit(OPEN, refund(f"T01-1-AAAQE-{number}", None))[1].kind == "refund"  # till T01-1's


def test_a_void_needs_a_receipt_of_this_till_and_day() -> None:
    """Yesterday's is refunded, not voided."""
    sold, made = commit(OPEN, sale(1))
    assert isinstance(made.entry, Receipt)

    def void(original: Original | None) -> VoidAsked:
        return VoidAsked(
            op_id=op(51),
            request_hash=b"",
            cashier="C",
            receipt_no="T01-AAAQE-000001",
            original=original,
            prior=None,
        )

    taken = commit(sold, void(Original(receipt=made.entry)))[1]
    assert taken.kind == "void"
    assert isinstance(taken.entry, Receipt)
    assert taken.entry.ref == "T01-AAAQE-000001"
    assert refused(sold, void(None)) == "rule_broken"
    assert refused(replace(sold, business_date="2026-01-03"), void(Original(receipt=made.entry)))


def test_a_draining_till_closes_its_day_and_does_nothing_else() -> None:
    """Cleaning waits until all is safe."""
    draining = journal.step(OPEN, DrainAsked(), now_ms=0)
    assert draining.effects == (PersistMode(mode=Mode.DRAINING),)
    assert refused(draining.state, sale(1)) == "rule_broken"
    closed, _ = commit(draining.state, closing())
    assert closed.mode is Mode.DRAINING
    assert refused(closed, opening("2026-02-02")) == "rule_broken"


def test_a_frozen_till_sells_again_once_it_is_rebased() -> None:
    """With its day still open, numbers begin anew under the new incarnation."""
    frozen = journal.step(OPEN, Froze(), now_ms=0).state
    assert refused(frozen, sale(1)) == "rule_broken"
    assert journal.step(frozen, sale(1), now_ms=0).effects == (
        Refuse(op_id=op(1), code="rule_broken", message="the till's journal is frozen", definite=True),
    )
    new = Key(till="T01", incarnation=b"n" * 16)
    rebased = journal.step(frozen, Rebased(key=new, head=Mark(seq=1, hash=b"h"), counter=0), now_ms=0)
    assert rebased.effects == (PersistMode(mode=Mode.SELLING), WakeUplink(head=Mark(seq=1, hash=b"h")))
    made = commit(rebased.state, sale(1))[1]
    assert made.receipt_no == "T01-NZXG4-000001"
    assert made.head.seq == 2


def test_an_entry_too_large_to_travel_never_enters_the_queue() -> None:
    """The bound is checked when the sale is made."""
    name = "x" * 400
    offer = Offer(sku=name, active=True, tax_rate_bp=700, prices=OFFER.prices)
    huge = Basket(lines=(LineAsked(sku=name, qty=1000),) * 200, payments=CASH)
    event = replace(sale(1, basket=huge), offers=(offer,))
    assert refused(OPEN, event) == "rule_broken"


def test_the_same_basket_has_the_same_request_hash_and_another_one_has_not() -> None:
    """Whatever the cashier changed shows."""
    again = Basket(lines=(LineAsked(sku="milk", qty=1000),), payments=CASH)
    assert journal.request_hash("sale", again) == journal.request_hash("sale", BASKET)
    other = Basket(lines=(LineAsked(sku="milk", qty=1001),), payments=CASH)
    assert journal.request_hash("sale", other) != journal.request_hash("sale", BASKET)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("2026-01-31", True),
        ("2026-02-28", True),
        ("2026-02-29", False),
        ("2024-02-29", True),
        ("1900-02-29", False),
        ("2000-02-29", True),
        ("2026-04-31", False),
        ("2026-12-31", True),
        ("2026-13-01", False),
        ("2026-00-10", False),
        ("2026-01-00", False),
        ("2026-01-32", False),
        ("2026/01-31", False),
        ("2026-01/31", False),
        ("20260131", False),
        ("2026-01-3x", False),
    ],
)
def test_a_business_date_is_a_day_of_the_calendar(text: str, is_one: bool) -> None:
    """Leap years included; nothing else is taken for a date."""
    assert journal._is_date(text) is is_one


@pytest.mark.parametrize("month", range(1, 13))
def test_each_month_ends_with_its_last_day(month: int) -> None:
    """As the calendar of a leap year has it."""
    last = monthrange(2024, month)[1]
    assert journal._is_date(f"2024-{month:02}-01")
    assert journal._is_date(f"2024-{month:02}-{last}")
    assert not journal._is_date(f"2024-{month:02}-{last + 1}")


def test_the_counted_cash_is_a_sum_that_a_float_still_holds() -> None:
    """Nothing, and whatever JSON carries exactly."""
    for counted in (0, 2**53):
        assert commit(OPEN, replace(closing(), counted_cash=counted))[1].kind == "close"
    for counted in (-1, 2**53 + 1):
        assert refused(OPEN, replace(closing(), counted_cash=counted)) == "rule_broken"


def test_each_operation_is_stored_under_its_own_kind() -> None:
    """A repeated request is found by it."""
    opened = commit(CLOSED, opening(), now_ms=77)[1]
    assert (opened.kind, opened.entry.at_ms) == ("open", 77)
    assert commit(OPEN, sale(1))[1].kind == "sale"
    assert commit(OPEN, closing())[1].kind == "close"
