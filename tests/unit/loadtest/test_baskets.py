"""Customers and their baskets."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert
from msgspec.structs import asdict

from loadtest.baskets import (
    Customer,
    Paper,
    Price,
    Share,
    Want,
    draw_customer,
    edited_basket,
    refund_basket,
    sale_basket,
)
from loadtest.catalogue import Catalogue, Product
from loadtest.plan import Mix
from syncref.core.selling import Basket, Offer, Original, PriceRow, Return, priced, returned
from syncref.domain.money import line_amount
from syncref.wire.entry import Receipt

CATALOGUE = Catalogue(
    products=tuple(Product(sku=f"S{i:04d}", name="p", tax_code="A", vendor_id="V") for i in range(1000)),
    vendors=("V",),
    tax_codes=("A",),
)


def customers(count: int, *, seed: int = 1, mix: Mix | None = None) -> list[Customer]:
    """Return the first customers of a seat."""
    return [
        draw_customer(seed=seed, stream="T01|0", n=n, catalogue=CATALOGUE, mix=mix or Mix()) for n in range(count)
    ]


def test_the_same_seed_gives_the_same_baskets() -> None:
    """Baskets follow from the seed alone."""
    assert customers(200) == customers(200) != customers(200, seed=2)


def test_sku_choice_is_skewed_and_lines_have_distinct_goods() -> None:
    """A few goods make most of the lines, and no basket names one twice."""
    drawn = customers(3000)
    sold = Counter(want.sku for customer in drawn for want in customer.wants)
    top = sum(count for _, count in sold.most_common(10))
    assert 0.2 < top / sold.total() < 0.5
    assert all(len({want.sku for want in c.wants}) == len(c.wants) for c in drawn)
    assert {len(c.wants) for c in drawn} == set(range(1, 7))


def test_every_kind_of_quantity_discount_and_payment_occurs() -> None:
    """Weighed goods, discounts, one to three tenders, explicit and open amounts are all among them."""
    drawn = customers(2000)
    wants = [want for customer in drawn for want in customer.wants]
    assert any(want.qty % 1000 for want in wants) and any(want.qty >= 2000 for want in wants)
    assert any(want.discount_bp for want in wants)
    assert {(len(c.shares), c.shares[-1].share_bp is None) for c in drawn} == {
        (count, rest) for count in (1, 2, 3) for rest in (False, True)
    }


def test_kinds_come_in_their_shares() -> None:
    """Refunds, voids and bare look-ups come as often as the mix says; without them all are sales."""
    kinds = Counter(c.kind for c in customers(4000, mix=Mix(refund=0.2, void=0.1, lookup=0.3)))
    assert abs(kinds["refund"] - 800) < 120 and abs(kinds["void"] - 400) < 90 and abs(kinds["lookup"] - 1200) < 140
    assert {c.kind for c in customers(200, mix=Mix(refund=0, void=0, lookup=0))} == {"sale"}


@given(st.integers(0, 10_000), st.integers(0, 100_000))
def test_explicit_payments_sum_to_the_gross_to_the_cent(n: int, base: int) -> None:
    """All amounts given: they are the gross exactly. One left open: the others stay below it."""
    customer = draw_customer(seed=5, stream="T02|0", n=n, catalogue=CATALOGUE, mix=Mix())
    prices = {want.sku: Price(unit_price=base + i, tax_rate_bp=1900) for i, want in enumerate(customer.wants)}
    basket = sale_basket(customer, prices)
    gross = sum(
        line_amount(qty=line["qty"], unit_price=prices[line["sku"]].unit_price, discount=line["discount"])
        for line in basket["lines"]
    )
    amounts = [payment["amount"] for payment in basket["payments"]]
    known = sum(amount for amount in amounts if amount is not None)
    assert all(amount is None or amount > 0 for amount in amounts)
    assert known == gross if None not in amounts else amounts.count(None) == 1 and known < max(1, gross)


def test_goods_without_a_looked_up_price_are_sold_with_one_open_payment() -> None:
    """A failed look-up costs the discount, not the sale."""
    customer = customers(1)[0]
    assert sale_basket(customer, {})["payments"] == [{"tender": customer.shares[-1].tender, "amount": None}]


def _paper() -> Paper:
    line = {"sku": "S1", "qty": 1500, "unit_price": 333, "price_version": 2, "tax_rate_bp": 700, "discount": 5}
    done = {**line, "line_no": 1, "tax": 32, "amount": 495}
    return Paper(till="T02", receipt_no="T02-ABCDE-000001", lines=(done, {**done, "sku": "S2", "line_no": 2}))


@pytest.mark.parametrize(("partial", "lines", "amount"), [(False, 2, None), (True, 1, 495)])
def test_a_refund_repeats_the_paper(partial: bool, lines: int, amount: int | None) -> None:
    """A refund names the receipt and repeats its lines as printed, all of them or the first half."""
    customer = dataclasses.replace(customers(1)[0], partial=partial)
    basket = refund_basket(customer, _paper())
    assert basket["receipt_no"] == "T02-ABCDE-000001"
    assert len(basket["lines"]) == lines and "amount" not in basket["lines"][0]
    assert basket["payments"] == [{"tender": customer.shares[0].tender, "amount": amount}]


@given(st.integers(0, 10_000), st.integers(1, 100_000), st.booleans())
def test_a_refund_asks_for_no_more_than_was_paid(n: int, base: int, partial: bool) -> None:
    """A discounted line goes back with its discount: the till that sold it agrees to the cent."""
    customer = draw_customer(seed=5, stream="T02|0", n=n, catalogue=CATALOGUE, mix=Mix())
    prices = {want.sku: Price(unit_price=base + i, tax_rate_bp=1900) for i, want in enumerate(customer.wants)}
    offers = [
        Offer(
            sku=sku, active=True, tax_rate_bp=price.tax_rate_bp,
            prices=(PriceRow(valid_from_ms=0, amount=price.unit_price, version=1),),
        )
        for sku, price in prices.items()
    ]  # fmt: skip
    basket = convert(sale_basket(customer, prices), Basket)
    sums = priced(basket, offers, instant_ms=0)
    receipt = Receipt(
        op_id=bytes(16), kind="sale", counter=1, business_date="2024-05-01", at_ms=0, cashier="C",
        lines=sums.lines, payments=sums.payments, gross=sums.gross, tax=sums.tax,
    )  # fmt: skip
    paper = Paper(till="T02", receipt_no="T02-ABCDE-000001", lines=tuple(map(asdict, sums.lines)))
    asked = refund_basket(dataclasses.replace(customer, partial=partial), paper)
    back = returned(convert(asked, Return), Original(receipt=receipt))
    assert [line.amount for line in back.lines] == [-line.amount for line in sums.lines[: len(back.lines)]]


def test_an_edited_basket_is_another_request() -> None:
    """Editing changes the content and leaves the original alone."""
    customer = dataclasses.replace(
        customers(1)[0],
        wants=(Want(sku="S1", qty=1000, discount_bp=0),),
        shares=(Share(tender="cash", share_bp=10_000),),
    )
    basket = sale_basket(customer, {"S1": Price(unit_price=100, tax_rate_bp=0)})
    assert edited_basket(basket)["lines"][0]["qty"] == 2000
    assert basket["lines"][0]["qty"] == 1000
