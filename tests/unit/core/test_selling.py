"""Pricing a basket, sharing payments, and what may be taken back."""

from __future__ import annotations

import pytest

from syncref.core.selling import (
    Basket,
    LineAsked,
    LineReturned,
    Offer,
    Original,
    PaymentAsked,
    PriceRow,
    Return,
    Sums,
    price_at,
    priced,
    returned,
    voided,
)
from syncref.core.step import replace
from syncref.errors import RuleBroken
from syncref.wire.entry import Payment, Receipt, ReceiptKind

MILK = Offer(
    sku="milk",
    active=True,
    tax_rate_bp=700,
    prices=(
        PriceRow(valid_from_ms=0, amount=119, version=1),
        PriceRow(valid_from_ms=1000, amount=129, version=2),
    ),
)
HAM = Offer(sku="ham", active=True, tax_rate_bp=1900, prices=(PriceRow(valid_from_ms=0, amount=1999, version=3),))
CASH = (PaymentAsked(tender="cash", amount=None),)


def basket(*lines: LineAsked, payments: tuple[PaymentAsked, ...] = CASH) -> Basket:
    """Return a basket paid in cash unless told otherwise."""
    return Basket(lines=lines, payments=payments)


def receipt(sums: Sums, kind: ReceiptKind = "sale") -> Receipt:
    """Return the receipt that a body becomes."""
    return Receipt(
        op_id=b"o" * 16,
        kind=kind,
        counter=1,
        business_date="2026-01-02",
        at_ms=0,
        cashier="C",
        lines=sums.lines,
        payments=sums.payments,
        gross=sums.gross,
        tax=sums.tax,
    )


def test_the_price_in_force_is_the_latest_that_is_valid_not_the_newest_row() -> None:
    """A price sent ahead waits for its instant."""
    assert price_at(MILK.prices, 999) == MILK.prices[0]
    assert price_at(MILK.prices, 1000) == MILK.prices[1]
    assert price_at(MILK.prices, -1) is None


def test_a_basket_is_priced_rounded_and_taxed_line_by_line() -> None:
    """0.250 kg at 19.99 is 5.00 (half away), of which 0.80 tax; two milks 2.38 with 0.16."""
    sums = priced(
        basket(LineAsked(sku="milk", qty=2000), LineAsked(sku="ham", qty=250)), (MILK, HAM), instant_ms=0
    )
    assert [(line.amount, line.tax) for line in sums.lines] == [(238, 16), (500, 80)]
    assert (sums.gross, sums.tax) == (738, 96)
    assert sums.lines[1].price_version == 3
    assert sums.payments == (Payment(tender="cash", amount=738),)


def test_one_open_payment_takes_what_the_others_leave() -> None:
    """A voucher first, the card takes the rest."""
    payments = (PaymentAsked(tender="voucher", amount=100), PaymentAsked(tender="card", amount=None))
    sums = priced(basket(LineAsked(sku="milk", qty=1000), payments=payments), (MILK,), instant_ms=0)
    assert [(p.tender, p.amount) for p in sums.payments] == [("voucher", 100), ("card", 19)]
    three = (*payments[:1], PaymentAsked(tender="cash", amount=9), *payments[1:])
    sums = priced(basket(LineAsked(sku="milk", qty=1000), payments=three), (MILK,), instant_ms=0)
    assert [p.amount for p in sums.payments] == [100, 9, 10]


@pytest.mark.parametrize(
    "bad",
    [
        basket(),
        basket(LineAsked(sku="milk", qty=0)),
        basket(LineAsked(sku="milk", qty=1000, discount=120)),
        basket(LineAsked(sku="milk", qty=1000, discount=-1)),
        basket(LineAsked(sku="nothing", qty=1000)),
        basket(LineAsked(sku="milk", qty=1000), payments=()),
        basket(LineAsked(sku="milk", qty=1000), payments=CASH * 2),
        basket(LineAsked(sku="milk", qty=1000), payments=(PaymentAsked(tender="shells", amount=119),)),
        basket(LineAsked(sku="milk", qty=1000), payments=(PaymentAsked(tender="cash", amount=118),)),
        basket(LineAsked(sku="milk", qty=1000), payments=(PaymentAsked(tender="cash", amount=120),)),
        basket(LineAsked(sku="milk", qty=1000), payments=(PaymentAsked(tender="cash", amount=120), *CASH)),
        basket(*[LineAsked(sku="milk", qty=1000)] * 201),
    ],
)
def test_a_basket_that_breaks_a_rule_is_refused(bad: Basket) -> None:
    """Nothing is bent into shape."""
    with pytest.raises(RuleBroken):
        priced(bad, (MILK,), instant_ms=0)


def test_a_product_that_is_not_active_or_has_no_price_yet_is_not_sold() -> None:
    """An inactive product, a price of the future, a missing tax rate."""
    for offer in (
        Offer(sku="milk", active=False, tax_rate_bp=700, prices=MILK.prices),
        Offer(sku="milk", active=True, tax_rate_bp=700, prices=MILK.prices[1:]),
        Offer(sku="milk", active=True, tax_rate_bp=None, prices=MILK.prices),
    ):
        with pytest.raises(RuleBroken):
            priced(basket(LineAsked(sku="milk", qty=1000)), (offer,), instant_ms=0)


def back(qty: int, discount: int = 0, unit_price: int = 1999) -> Return:
    """Return a refund request for ham."""
    line = LineReturned(
        sku="ham", qty=qty, unit_price=unit_price, price_version=3, tax_rate_bp=1900, discount=discount
    )
    return Return(receipt_no="T01-X-000001", lines=(line,), payments=CASH)


def test_a_refund_is_the_mirror_of_its_sale() -> None:
    """Same rounding, other sign."""
    sale = priced(basket(LineAsked(sku="ham", qty=250, discount=7)), (HAM,), instant_ms=0)
    refund = returned(back(250, 7), Original(receipt=receipt(sale)))
    assert (refund.gross, refund.tax) == (-sale.gross, -sale.tax)
    assert refund.lines[0].qty == -250
    assert refund.payments[0].amount == -sale.gross


def test_no_more_is_refunded_than_is_left_of_the_receipt() -> None:
    """Quantity, discount and price are those of the receipt, less what came back before."""
    sale = receipt(priced(basket(LineAsked(sku="ham", qty=1000, discount=9)), (HAM,), instant_ms=0))
    once = receipt(returned(back(600), Original(receipt=sale)), "refund")
    assert returned(back(400, 9), Original(receipt=sale, returns=(once,))).gross < 0
    for wrong in (back(401), back(400, 10), back(100, 0, 1998)):
        with pytest.raises(RuleBroken):
            returned(wrong, Original(receipt=sale, returns=(once,)))
    with pytest.raises(RuleBroken, match="can't be refunded"):
        returned(back(1), Original(receipt=once))


def ham_of_501(discount: int = 0) -> Receipt:
    """Return the receipt of a ham at 5.01."""
    offer = replace(HAM, prices=(PriceRow(valid_from_ms=0, amount=501, version=3),))
    return receipt(priced(basket(LineAsked(sku="ham", qty=1000, discount=discount)), (offer,), instant_ms=0))


def test_parts_come_to_exactly_what_was_paid() -> None:
    """Two halves of 5.01 are 2.51 and 2.50, three thirds of it 1.67 each; one line or three receipts alike."""
    sale = ham_of_501()
    for parts, amounts in (((500, 500), [-251, -250]), ((333, 333, 334), [-167, -167, -167])):
        lines = tuple(back(part, 0, 501).lines[0] for part in parts)
        at_once = returned(Return(receipt_no="N", lines=lines, payments=CASH), Original(receipt=sale))
        assert [line.amount for line in at_once.lines] == amounts
        given: tuple[Receipt, ...] = ()
        for part in parts:
            sums = returned(back(part, 0, 501), Original(receipt=sale, returns=given))
            given = (*given, receipt(sums, "refund"))
        assert [one.gross for one in given] == amounts
    first = receipt(returned(back(100, 0, 501), Original(receipt=sale)), "refund")
    last = returned(back(900, 0, 501), Original(receipt=sale, returns=(first,)))
    assert (first.gross, last.gross, last.tax) == (-50, -451, -72)


def test_rounding_up_part_after_part_ends_at_what_was_paid() -> None:
    """200 parts that would be 0.03 each of 5.01, in one refund or in 200."""
    sale = ham_of_501()
    crumbs = Return(receipt_no="N", lines=back(5, 0, 501).lines * 200, payments=CASH)
    sums = returned(crumbs, Original(receipt=sale))
    assert [line.amount for line in sums.lines] == [-3] * 167 + [0] * 33
    given: tuple[Receipt, ...] = ()
    for _ in range(200):
        given = (*given, receipt(returned(back(5, 0, 501), Original(receipt=sale, returns=given)), "refund"))
    assert sum(one.gross for one in given) == -501


def test_a_discount_goes_back_with_its_line() -> None:
    """2.00 paid for 5.01: neither the whole line, nor a part of more than that, goes back without it."""
    sale = Original(receipt=ham_of_501(301))
    for qty, discount in ((1000, 0), (1000, 300), (500, 0)):
        with pytest.raises(RuleBroken, match=r"^the discount on ham of receipt T01-X-000001 is to be taken back"):
            returned(back(qty, discount, 501), sale)
    assert returned(back(1000, 301, 501), sale).gross == -200
    part = receipt(returned(back(300, 0, 501), sale), "refund")
    assert returned(back(700, 301, 501), replace(sale, returns=(part,))).gross == -200 - part.gross


def test_alike_lines_of_a_receipt_are_left_together() -> None:
    """Of three crumbs at 0.03 each there are 0.09, whichever way they come back."""
    offer = replace(HAM, prices=(PriceRow(valid_from_ms=0, amount=501, version=3),))
    crumbs = basket(*[LineAsked(sku="ham", qty=5)] * 3)
    sale = Original(receipt=receipt(priced(crumbs, (offer,), instant_ms=0)))
    assert returned(back(15, 0, 501), sale).gross == sale.receipt.gross * -1 == -9


def test_a_refund_of_a_receipt_that_is_not_here_is_taken_at_its_word() -> None:
    """The till that it comes to does not have the other till's receipt."""
    assert returned(back(1000), None).gross == -1999


def test_a_void_takes_a_whole_sale_back_and_only_once() -> None:
    """Every line, tax and payment with the other sign."""
    sale = receipt(priced(basket(LineAsked(sku="ham", qty=250)), (HAM,), instant_ms=0))
    mirror = voided(Original(receipt=sale))
    assert (mirror.gross, mirror.tax) == (-sale.gross, -sale.tax)
    assert sum(p.amount for p in mirror.payments) == mirror.gross
    with pytest.raises(RuleBroken):
        voided(Original(receipt=sale, returns=(receipt(mirror, "void"),)))
    with pytest.raises(RuleBroken):
        voided(Original(receipt=receipt(mirror, "void")))


def test_a_void_mirrors_every_line_and_payment() -> None:
    """Quantities, discounts, taxes and amounts turn; prices and rates stay."""
    bought = basket(
        LineAsked(sku="milk", qty=2000, discount=10),
        LineAsked(sku="ham", qty=500),
        payments=(PaymentAsked(tender="voucher", amount=100), PaymentAsked(tender="cash", amount=None)),
    )
    sale = priced(bought, [MILK, HAM], instant_ms=0)
    mirror = voided(Original(receipt=receipt(sale)))
    assert len(mirror.lines) == 2
    for line, back in zip(sale.lines, mirror.lines, strict=True):
        assert (back.sku, back.unit_price, back.price_version, back.tax_rate_bp) == (
            line.sku, line.unit_price, line.price_version, line.tax_rate_bp,
        )  # fmt: skip
        assert (back.qty, back.discount, back.tax, back.amount) == (
            -line.qty, -line.discount, -line.tax, -line.amount,
        )  # fmt: skip
    assert [(p.tender, p.amount) for p in mirror.payments] == [(p.tender, -p.amount) for p in sale.payments]
    assert (mirror.gross, mirror.tax) == (-sale.gross, -sale.tax)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"qty": 0}, "qty"),
        ({"unit_price": -1}, "unit_price"),
        ({"tax_rate_bp": -1}, "tax_rate_bp"),
        ({"tax_rate_bp": 100_001}, "tax_rate_bp"),
        ({"price_version": -1}, "price_version"),
        ({"discount": -1}, "discount"),
    ],
)
def test_a_refund_out_of_bounds_is_refused_by_the_name_of_what_is_wrong(
    changed: dict[str, int], said: str
) -> None:
    """Whoever sent it can mend it."""
    asked = back(1)
    wrong = replace(asked, lines=(replace(asked.lines[0], **changed),))
    with pytest.raises(RuleBroken, match=rf"^{said} "):
        returned(wrong, None)


def test_a_refund_has_lines_and_may_be_of_what_is_not_taxed() -> None:
    """A rate of nothing is a rate."""
    with pytest.raises(RuleBroken, match=r"^0 lines, "):
        returned(replace(back(1), lines=()), None)
    untaxed = replace(back(1000), lines=(replace(back(1000).lines[0], tax_rate_bp=0),))
    assert (returned(untaxed, None).gross, returned(untaxed, None).tax) == (-1999, 0)


def test_what_is_wrong_with_a_basket_is_said() -> None:
    """The cashier reads it."""
    milk = LineAsked(sku="milk", qty=1000)
    paid = (PaymentAsked(tender="cash", amount=118),)
    for asked, said in (
        (basket(milk, payments=paid), "payments of 118 do not balance 119"),
        (basket(milk, payments=CASH * 2), "only one payment may take the rest"),
        (basket(LineAsked(sku="nothing", qty=1000)), "product nothing is not sold"),
        (basket(LineAsked(sku="milk", qty=1000, discount=120)), "the discount on milk is more than it costs"),
        (basket(), "0 lines, where 1 to 200 are allowed"),
    ):
        with pytest.raises(RuleBroken, match=rf"^{said}$"):
            priced(asked, (MILK,), instant_ms=0)
    sale = receipt(priced(basket(milk), (MILK,), instant_ms=0))
    with pytest.raises(RuleBroken, match=r"^receipt T01-X-000001 has no such line of ham$"):
        returned(back(1), Original(receipt=sale))
