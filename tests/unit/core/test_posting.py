"""How entries become rows, flags and set-asides, and what a failure says about an entry."""

from __future__ import annotations

from collections.abc import Container, Sequence

import msgspec
import pytest

from syncref.core.posting import (
    Failure,
    Posting,
    Remedy,
    classify_sqlstate,
    misnumbered,
    out_of_bounds,
    post,
    remedy,
    set_aside,
    unbalanced,
)
from syncref.domain.identity import Key
from syncref.wire.entry import Continued, DayClosed, DayOpened, Entry, Line, Payment, Receipt

KEY = Key(till="T01", incarnation=bytes(range(16)))
OPENED = DayOpened(op_id=b"o" * 16, business_date="2026-01-02", at_ms=0, cashier="C", float_cash=0)
CLOSED = DayClosed(
    op_id=b"z" * 16,
    business_date="2026-01-02",
    at_ms=0,
    cashier="C",
    sales=1,
    refunds=0,
    voids=0,
    gross=119,
    tax=8,
    by_tender=(),
    by_rate=(),
    counted_cash=0,
    first_receipt=None,
    last_receipt=None,
    chain_head=b"",
)


def receipt(counter: int, *, ref: str | None = None, sku: str = "milk", op: int | None = None) -> Receipt:
    """Return a receipt that balances."""
    line = Line(
        sku=sku,
        qty=1000,
        unit_price=119,
        price_version=1,
        tax_rate_bp=700,
        discount=0,
        tax=8,
        amount=119,
    )
    return Receipt(
        op_id=(op or counter).to_bytes(16, "big"),
        kind="sale" if ref is None else "refund",
        counter=counter,
        business_date="2026-01-02",
        at_ms=counter,
        cashier="C",
        lines=(line,),
        payments=(Payment(tender="cash", amount=119),),
        gross=119,
        tax=8,
        ref=ref,
    )


def posted(
    entries: Sequence[Entry | str],
    *,
    known_ops: Container[bytes] = (),
    receipts: Container[str] = (),
    awaited: Container[str] = (),
) -> Posting:
    """Post entries from sequence 10 on."""
    return post(
        KEY,
        10,
        entries,
        known_ops=known_ops,
        receipts=receipts,
        products={"milk"},
        awaited=awaited,
    )


def test_each_entry_goes_to_its_table_under_its_sequence() -> None:
    """Receipts, opened and closed days, and a journal that continues another."""
    continued = Continued(op_id=b"c" * 16, incarnation=b"o" * 16, seq=4, hash=b"h", at_ms=0)
    result = posted([continued, OPENED, receipt(1), CLOSED])
    assert result.closes[0][:2] == (b"o" * 16, 4)
    assert result.opened == [(11, OPENED)]
    assert [(row.seq, row.receipt_no, row.status) for row in result.receipts] == [
        (12, "T01-AAAQE-000001", "posted")
    ]
    assert result.closed == [(13, CLOSED)]
    assert not result.flags
    assert not result.asides


def test_an_entry_that_cannot_be_decoded_or_does_not_balance_is_set_aside_alone() -> None:
    """Its neighbours are posted."""
    wrong = msgspec.structs.replace(receipt(2), gross=120)
    result = posted([receipt(1), "not an entry", wrong, receipt(3)])
    assert [row.seq for row in result.asides] == [11, 12]
    assert [row.seq for row in result.receipts] == [10, 13]


@pytest.mark.parametrize(
    "wrong",
    [
        {"gross": 120},
        {"tax": 9},
        {"payments": ()},
        {"payments": (Payment(tender="cash", amount=118),)},
        {"op_id": b"short"},
        {"business_date": "soon"},
        {"lines": ()},
    ],
)
def test_a_receipt_balances_or_it_does_not(wrong: dict[str, object]) -> None:
    """Gross, tax and payments are sums of what is there."""
    assert unbalanced(receipt(1)) is None
    assert unbalanced(msgspec.structs.replace(receipt(1), **wrong))


def _at(qty: int = 1000, amount: int = 119, tax: int = 8, sku: str = "milk") -> Receipt:
    """Return a receipt that balances, with a line of these."""
    return msgspec.structs.replace(
        receipt(1),
        lines=(msgspec.structs.replace(receipt(1).lines[0], qty=qty, amount=amount, tax=tax, sku=sku),),
        payments=(Payment(tender="cash", amount=amount),),
        gross=amount,
        tax=tax,
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_what_no_till_can_have_sold_is_set_aside_though_it_balances(sign: int) -> None:
    """Sums over all receipts must fit into 64 bits; a SKU must fit into an index."""
    most, cents = sign * 10**9, sign * 10**12
    for good in (_at(qty=most), _at(amount=cents), _at(amount=cents, tax=cents), _at(sku="m" * 64)):
        assert unbalanced(good) is None and out_of_bounds(good) is None
    for beyond in (_at(qty=most + sign), _at(amount=cents + sign), _at(tax=cents + sign), _at(sku="m" * 65)):
        assert unbalanced(beyond) is None and out_of_bounds(beyond)
        assert [row.seq for row in posted([receipt(2), beyond, receipt(3)]).asides] == [11]
    two = _at(amount=cents)
    both = msgspec.structs.replace(two, lines=two.lines * 2, payments=two.payments * 2, gross=2 * cents, tax=16)
    assert unbalanced(both) is None and out_of_bounds(both) == f"gross of {2 * cents} with tax of 16"
    split = (Payment(tender="cash", amount=cents + sign), Payment(tender="card", amount=119 - cents - sign))
    paid = msgspec.structs.replace(receipt(1), payments=split)
    assert unbalanced(paid) is None and out_of_bounds(paid) == f"a payment of {cents + sign}"


@pytest.mark.parametrize(
    ("seq", "incarnation", "right"),
    [
        (0, b"o" * 16, True),
        (2**62 - 1, b"o" * 16, True),
        (2**62, b"o" * 16, False),
        (-1, b"o" * 16, False),
        (4, b"o" * 15, False),
        (4, b"o" * 9000, False),
    ],
)
def test_a_journal_continues_from_a_place_that_can_be(seq: int, incarnation: bytes, right: bool) -> None:
    """Else nothing is closed, and what follows is posted all the same."""
    result = posted([Continued(op_id=b"c" * 16, incarnation=incarnation, seq=seq, hash=b"h", at_ms=0), receipt(1)])
    assert (len(result.closes), len(result.asides)) == ((1, 0) if right else (0, 1))
    assert len(result.receipts) == 1


def test_a_reason_shows_what_it_quotes_escaped_and_cut() -> None:
    """What a till wrote into an entry must not hinder that it is set aside."""
    result = posted(["undecodable: 'r\0\n\ud800' \\ é", "x" * 70_000])
    assert result.asides[0].reason == r"undecodable: 'r\x00\n\ud800' \ é"
    assert len(result.asides[1].reason) == 200
    assert set_aside(posted([receipt(1)]), 10, "a\0").asides[0].reason == r"a\x00"


@pytest.mark.parametrize(
    ("number", "right"),
    [
        (None, True),
        ("T01-H3T3C-000023", True),
        ("T01-H3T3C-1000023", True),
        ("T02-H3T3C-000023", False),
        ("T011-H3T3C-000023", False),
        ("T01-H3T3C-", False),
        ("T01-H3T3C-00002x", False),
        ("T01-H3T3C-00023", False),
        ("T01-H3T3-000023", False),
        ("T01-000023", False),
        ("", False),
    ],
)
def test_a_number_from_before_is_of_the_same_till(number: str | None, right: bool) -> None:
    """A journal that continues another keeps what was printed; it can't bear another till's numbers."""
    found = misnumbered("T01", msgspec.structs.replace(receipt(1), number=number))
    assert (found is None) is right, found


@pytest.mark.parametrize(
    ("counter", "right"), [(1, True), (999_999_999, True), (0, False), (-1, False), (10**9, False)]
)
def test_a_counter_is_one_that_a_number_can_be_printed_of(counter: int, right: bool) -> None:
    """Where some were declared lost numbers are compared: one beyond 64 bits would stop that for all."""
    result = posted([msgspec.structs.replace(receipt(1), counter=counter)])
    assert (len(result.receipts), len(result.asides)) == ((1, 0) if right else (0, 1))


def test_an_op_id_counts_once_however_often_it_comes() -> None:
    """Known from before, or twice in one batch: the second is stored as a duplicate and flagged."""
    result = posted([receipt(1), receipt(2, op=1), receipt(3)], known_ops={(3).to_bytes(16, "big")})
    assert [row.status for row in result.receipts] == ["posted", "duplicate", "duplicate"]
    assert [(flag.seq, flag.code) for flag in result.flags] == [(11, "duplicate_op"), (12, "duplicate_op")]


def test_facts_are_posted_with_a_flag_when_what_they_refer_to_is_unknown() -> None:
    """An unknown product; a refund whose receipt has not arrived. Not one that came in the same batch."""
    result = posted([receipt(1, sku="ham"), receipt(2, ref="T02-X-000001")])
    assert [row.status for row in result.receipts] == ["posted", "posted"]
    assert [(flag.code, flag.detail) for flag in result.flags] == [
        ("unknown_product", "ham"), ("unknown_receipt", "T02-X-000001"),
    ]  # fmt: skip
    fine = posted([receipt(1), receipt(2, ref="T01-AAAQE-000001"), receipt(3, ref="K")], receipts={"K"})
    assert not fine.flags


def test_a_receipt_that_was_waited_for_is_reported() -> None:
    """So that the earlier flag can be resolved."""
    assert posted([receipt(1), receipt(2)], awaited={"T01-AAAQE-000002"}).met == ["T01-AAAQE-000002"]


def test_an_entry_that_the_database_refuses_is_set_aside_with_all_its_rows() -> None:
    """Nothing of it stays posted."""
    result = set_aside(posted([receipt(1, sku="ham"), receipt(2)]), 10, "22003")
    assert [row.seq for row in result.receipts] == [11]
    assert not result.flags
    assert [(row.seq, row.reason) for row in result.asides] == [(10, "22003")]
    later = {"op_id": b"l" * 16, "business_date": "2026-01-03"}
    days = [OPENED, CLOSED, *(msgspec.structs.replace(one, **later) for one in (OPENED, CLOSED))]
    for seq in range(10, 14):
        left = set_aside(posted(days), seq, "22003")
        assert [row[0] for row in (*left.opened, *left.closed)] == [n for n in (10, 12, 11, 13) if n != seq]


@pytest.mark.parametrize(
    ("state", "constraint", "failure"),
    [
        ("22003", None, Failure.POISON),
        ("23502", None, Failure.POISON),
        ("23505", "receipt_pkey", Failure.POISON),
        ("23505", "receipt_op", Failure.TRANSIENT),
        ("08006", None, Failure.TRANSIENT),
        ("40001", None, Failure.TRANSIENT),
        ("53100", None, Failure.TRANSIENT),
        ("57014", None, Failure.TRANSIENT),
        (None, None, Failure.TRANSIENT),
        ("XX000", None, Failure.UNKNOWN),
        ("42P01", None, Failure.UNKNOWN),
    ],
)
def test_only_data_errors_are_poison(state: str | None, constraint: str | None, failure: Failure) -> None:
    """A full disk or a shutdown says nothing of the entry."""
    assert classify_sqlstate(state, constraint=constraint) is failure


def test_poison_is_bisected_at_once_and_the_unknown_only_after_tries() -> None:
    """A transient failure is never held against an entry."""
    assert remedy(Failure.TRANSIENT, tries=99, entries=1) is Remedy.RETRY_LATER
    assert remedy(Failure.POISON, tries=1, entries=8) is Remedy.SPLIT
    assert remedy(Failure.POISON, tries=1, entries=1) is Remedy.SET_ASIDE
    assert remedy(Failure.UNKNOWN, tries=2, entries=1) is Remedy.RETRY_LATER
    assert remedy(Failure.UNKNOWN, tries=3, entries=2) is Remedy.SPLIT
    assert remedy(Failure.UNKNOWN, tries=3, entries=1) is Remedy.SET_ASIDE


def test_what_does_not_balance_is_told_by_its_sums() -> None:
    """Every payment counts, and an op id or a date of another length is no receipt's."""
    good = receipt(1)
    twice = msgspec.structs.replace(good, lines=good.lines * 2, gross=238, tax=16)
    assert unbalanced(msgspec.structs.replace(twice, payments=(Payment(tender="cash", amount=238),))) is None
    two = (Payment(tender="voucher", amount=19), Payment(tender="cash", amount=100))
    assert unbalanced(msgspec.structs.replace(good, payments=two)) is None
    assert unbalanced(msgspec.structs.replace(good, payments=two[:1])) == "payments of 19, gross 119"
    assert unbalanced(msgspec.structs.replace(good, gross=120)) == "lines of 119, gross 120"
    assert unbalanced(msgspec.structs.replace(good, tax=9)) == "line taxes of 8, tax 9"
    wrong = "op id or business date of a wrong length"
    assert unbalanced(msgspec.structs.replace(good, op_id=b"short")) == wrong
    assert unbalanced(msgspec.structs.replace(good, business_date="2026-1-2")) == wrong
