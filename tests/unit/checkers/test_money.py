"""What the money checker convicts and acquits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rehearsal.checkers.rules import amount_of, nearest, tax_in
from rehearsal.model import Verdict
from tests.unit.checkers.conftest import Try, convicted
from tests.unit.checkers.shop import DATE, Shop, closed_shop, open_shop


def test_a_consistent_shop_is_acquitted(ask: Try) -> None:
    """Every receipt follows from its basket."""
    assert ask(closed_shop(), "money").verdict is Verdict.VALID


@pytest.mark.parametrize(
    ("numerator", "denominator", "expected"),
    [(5, 10, 1), (4, 10, 0), (-5, 10, -1), (-4, 10, 0), (15, 10, 2), (-15, 10, -2), (0, 7, 0)],
)
def test_halves_go_away_from_zero(numerator: int, denominator: int, expected: int) -> None:
    """So that a refund is the exact mirror of its sale."""
    assert nearest(numerator, denominator) == expected


def test_the_documented_examples_hold() -> None:
    """docs/protocol.md: 0.250 kg at 19.90 is 498; 398 at 19 % contains 64."""
    assert amount_of(250, 1990, 0) == 498
    assert amount_of(-250, 1990, 0) == -498
    assert tax_in(398, 1900) == 64


@pytest.mark.parametrize("folder", ["tills/T01", "server"])
@pytest.mark.parametrize(
    ("table", "column", "what"),
    [
        ("lines", "amount", "amount of line 1"),
        ("lines", "tax", "tax of line 1"),
        ("lines", "qty", "lines asked for"),
        ("lines", "discount", "lines asked for"),
        ("lines", "unit_price", "amount of line 1"),
        ("receipts", "gross", "gross against lines"),
        ("receipts", "tax", "tax against lines"),
        ("payments", "amount", "payments against gross"),
    ],
)
def test_a_cent_is_convicted_wherever_it_is(ask: Try, folder: str, table: str, column: str, what: str) -> None:
    """S39: header, lines, payments and tax, on the till and on the server."""
    shop = closed_shop()
    shop.row(f"{folder}/{table}.csv")[column] += 1 if column != "unit_price" else 10
    assert convicted(ask(shop, "money"), what)


def _spoil_void(shop: Shop) -> None:
    void = shop.row("tills/T01/receipts.csv", lambda row: row["kind"] == "void")
    void["ref"] = shop.row("tills/T01/receipts.csv")["receipt_no"]


def _omit_payment(shop: Shop) -> None:
    """S40: a payment row is left out while offline."""
    shop.files["tills/T01/payments.csv"].pop(0)


def _another_tender(shop: Shop) -> None:
    shop.row("tills/T01/payments.csv")["tender"] = "voucher"


def _unknown_original(shop: Shop) -> None:
    shop.row("tills/T02/receipts.csv", lambda row: row["kind"] == "refund")["ref"] = "T09-XXXXX-000001"


def _refund_at_another_price(shop: Shop) -> None:
    refund = shop.row("tills/T02/receipts.csv", lambda row: row["kind"] == "refund")
    line = shop.row("tills/T02/lines.csv", lambda row: row["receipt_no"] == refund["receipt_no"])
    line["price_version"] = 9


def _edited_basket_got_the_old_receipt(shop: Shop) -> None:
    """S11: the answer is ok, the receipt that of the first basket."""
    edited = next(line for line in shop.history if line.get("edited"))
    answer = shop.answer_to(edited)
    receipt = shop.row("tills/T02/receipts.csv", lambda row: row["op_id"] == edited["op_id"])
    answer.update(type="ok", receipt_no=receipt["receipt_no"], gross=receipt["gross"], tax=receipt["tax"])


def _void_of_another_tax(shop: Shop) -> None:
    """Printed otherwise than stored."""
    next(line for line in shop.history if line["type"] == "ok" and line["f"] == "void")["tax"] -= 1


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_spoil_void, "receipt that is voided"),
        (_void_of_another_tax, "answered tax"),
        (_omit_payment, "payments against gross"),
        (_another_tender, "payments asked for"),
        (_unknown_original, "refund of a receipt that does not exist"),
        (_refund_at_another_price, "refund of what was not sold so"),
        (_edited_basket_got_the_old_receipt, "lines asked for"),
    ],
)
def test_a_lie_about_money_is_convicted(ask: Try, spoil: Callable[[Shop], None], what: str) -> None:
    """Each trace is found and named."""
    shop = closed_shop()
    spoil(shop)
    assert convicted(ask(shop, "money"), what)


def _with_entry(shop: Shop, change: Callable[[list[Any]], None]) -> Shop:
    """Change the last sale's entry before anything is derived from it, so that all sides agree on it."""
    shop.sell("T01", [("A", 3000, 0)], [("card", 100), ("cash", None)])
    change(shop.tills["T01"].entries[-1])
    return shop


def test_tax_that_both_sides_round_down_is_convicted(ask: Try) -> None:
    """S39: till and server agree with each other, and are both wrong."""

    def floor(entry: list[Any]) -> None:
        line = entry[7][0]
        line[6] = line[7] * line[4] // (10_000 + line[4]) - 1
        entry[10] = line[6]

    assert convicted(ask(_with_entry(open_shop(), floor), "money"), "tax of line 1")


def test_another_basket_than_the_cashiers_is_convicted(ask: Try) -> None:
    """Everything agrees but for what was asked."""

    def another(entry: list[Any]) -> None:
        entry[7][0][0] = "C"

    assert convicted(ask(_with_entry(open_shop(), another), "money"), "lines asked for")


def test_a_sale_on_another_cashiers_name_is_convicted(ask: Try) -> None:
    """On till and server alike; a history without names compares none."""
    shop = open_shop()
    sale = shop.sell("T01", [("A", 1000, 0)])
    invoke = next(line for line in shop.history if line.get("op_id") == sale)
    invoke["by"] = shop.tills["T01"].entries[-1][6]
    assert ask(shop, "money").verdict is Verdict.VALID
    invoke["by"] = "K9"
    assert convicted(ask(shop, "money"), "cashier")


def test_an_unknown_outcome_must_be_explained_by_a_basket(ask: Try) -> None:
    """What nobody saw answered is still what somebody asked for."""
    shop = open_shop()
    sale = shop.sell("T01", [("A", 1000, 0)], told="info")
    assert ask(shop, "money").verdict is Verdict.VALID
    shop = open_shop()
    sale = shop.sell("T01", [("A", 1000, 0)], told="info")
    invoke = next(line for line in shop.history if line.get("op_id") == sale)
    invoke["basket"]["lines"][0]["sku"] = "B"
    assert convicted(ask(shop, "money"), "no basket explains it")


def test_an_edited_basket_that_was_first_to_arrive_is_what_counts(ask: Try) -> None:
    """After an unknown outcome that did not happen, the edited basket is the sale."""
    shop = open_shop()
    op_id = shop.op()
    basket = {
        "lines": [{"sku": "A", "qty": 1000, "discount": 0}],
        "payments": [{"tender": "cash", "amount": None}],
    }
    of = shop.invoke("c-T01", "sale", op_id, "T01", basket=basket)
    shop.answer("c-T01", of, "info")
    shop.sell("T01", [("A", 2000, 0)], op_id=op_id)
    next(line for line in reversed(shop.history) if line["type"] == "invoke")["edited"] = True
    assert ask(shop, "money").verdict is Verdict.VALID
    assert ask(shop, "receipts").verdict is Verdict.VALID


def test_giving_back_twice_on_the_till_that_sold_is_convicted(ask: Try) -> None:
    """A till knows its own receipts."""
    shop = open_shop()
    sale = shop.sell("T01", [("A", 1000, 0)])
    shop.refund("T01", sale)
    shop.refund("T01", sale)
    assert convicted(ask(shop, "money"), "more given back than was sold")


def _refund_in_parts(shop: Shop, *parts: tuple[int, int, int]) -> Shop:
    """Sell one C with a discount of 50 on T01, and refund it there in parts of (qty, discount, amount)."""
    sale = shop.sell("T01", [("C", 1000, 50)])
    for qty, discount, amount in parts:
        entry = shop.entry(shop.refund("T01", sale))
        asked = next(line for line in reversed(shop.history) if line.get("basket"))["basket"]["lines"][0]
        asked["qty"], asked["discount"] = qty, discount
        line = entry[7][0]
        tax = tax_in(-amount, line[4])
        shop.stock[line[0]] += -qty - line[1]
        line[1], line[5], line[6], line[7] = -qty, -discount, tax, -amount
        entry[8], entry[9], entry[10] = [["cash", -amount]], -amount, tax
        answer = next(line for line in reversed(shop.history) if "gross" in line)
        answer["gross"], answer["tax"] = -amount, tax
    return shop


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ([(500, 0, 167), (500, 50, 116)], ""),
        ([(500, 50, 117), (500, 0, 166)], ""),
        ([(5, 0, 2)] * 2, ""),
        ([(500, 0, 167), (500, 50, 117)], "more money given back than was paid"),
        ([(1000, 0, 333)], "more money given back than was paid"),
        ([(5, 0, 2)] * 170, "more money given back than was paid"),
        ([(100, 0, 33)] * 5 + [(500, 50, 117)], "all given back but not all the money"),
        ([(500, 0, 166)], "amount of line 1"),
        ([(500, 0, 168)], "amount of line 1"),
    ],
)
def test_no_more_money_goes_back_than_was_paid(ask: Try, parts: list[tuple[int, int, int]], what: str) -> None:
    """2.83 was paid for a piece of 3.33; parts are rounded, and the last one evens that out."""
    result = ask(_refund_in_parts(open_shop(), *parts), "money")
    assert convicted(result, what) if what else result.verdict is Verdict.VALID


def test_two_tills_that_both_refund_a_third_ones_receipt_are_not_convicted(ask: Try) -> None:
    """Offline they can't know of each other: the shop's rules, not the sync's."""
    shop = open_shop()
    sale = shop.sell("T01", [("A", 1000, 0)])
    shop.refund("T02", sale)
    shop.refund("T02", sale)
    assert ask(shop, "money").verdict is Verdict.VALID


def test_a_second_void_is_convicted(ask: Try) -> None:
    """One receipt is voided once."""
    shop = open_shop()
    sale = shop.sell("T01", [("A", 1000, 0)])
    shop.void("T01", sale)
    shop.void("T01", sale)
    assert convicted(ask(shop, "money"), "voided more than once")


def test_a_void_into_another_date_is_convicted(ask: Try) -> None:
    """A void belongs to the open day of its sale."""
    shop = open_shop()
    sale = shop.sell("T01", [("A", 1000, 0)])
    shop.void("T01", sale)
    shop.tills["T01"].entries[-1][4] = DATE.replace("15", "16")
    assert convicted(ask(shop, "money"), "void against its original's date")


def test_nothing_sold_is_nothing_known(ask: Try) -> None:
    """No receipt, no acquittal."""
    shop = Shop().stage()
    shop.open_day("T01")
    assert ask(shop, "money").verdict is Verdict.UNKNOWN
