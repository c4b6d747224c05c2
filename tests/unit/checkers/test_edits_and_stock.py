"""What the edits and stock checkers convict and acquit."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from rehearsal.model import Verdict
from tests.unit.checkers.conftest import Try, convicted
from tests.unit.checkers.shop import VALID_FROM_MS, Shop, closed_shop, open_shop


@pytest.mark.parametrize("name", ["edits", "stock"])
def test_a_consistent_shop_is_acquitted(ask: Try, name: str) -> None:
    """Prices, products, vendors, goods in, goods back, a count; sales, a refund, a void."""
    assert ask(closed_shop(), name).verdict is Verdict.VALID


def _lost(shop: Shop) -> None:
    """S35: the clerk was told ok, the promoted server has never heard of it."""
    lost = shop.files["server/edits.csv"].pop(0)
    assert lost["kind"] == "price"


def _lost_row(shop: Shop) -> None:
    """S35: the operation is there, its row is not."""
    shop.files["server/vendors.csv"] = [
        row for row in shop.files["server/vendors.csv"] if row["vendor_id"] != "V2"
    ]


def _old_row(shop: Shop) -> None:
    shop.row("server/prices.csv", lambda row: row["sku"] == "P1").update(amount=400, version=1)


def _other_value(shop: Shop) -> None:
    shop.row("server/prices.csv", lambda row: row["sku"] == "P1")["amount"] = 451


def _other_name(shop: Shop) -> None:
    shop.row("server/products.csv", lambda row: row["sku"] == "C")["name"] = "Worse C"


def _other_quantity(shop: Shop) -> None:
    shop.row("server/goods_receipts.csv")["qty"] += 1000


def _refused_but_done(shop: Shop) -> None:
    edit = shop.files["server/edits.csv"][0]["op_id"]
    next(line for line in shop.history if line.get("op_id") == edit and line["type"] == "ok").update(
        type="fail", code="rule_broken"
    )


def _refused_again(shop: Shop) -> None:
    """The goods receipt whose answer was lost is refused as there already: the clerk enters it once more."""
    receipt = next(edit for edit in shop.files["server/edits.csv"] if edit["kind"] == "goods_receipt")
    first, answer = (line for line in shop.history if line.get("op_id") == receipt["op_id"])
    answer.update(type="info", code="timeout")
    end = shop.history.pop(max(n for n, line in enumerate(shop.history) if line["worker"] == "b0"))
    again = {**first, "n": end["n"], "at_ms": answer["at_ms"] + 500, "repeat": True}
    told = {**again, "n": end["n"] + 1, "of": again["n"], "type": "fail", "code": "rule_broken", "ms": 9.0}
    shop.history += [again, told, {**end, "n": end["n"] + 2}]


def _nobody_edited(shop: Shop) -> None:
    shop.files["server/edits.csv"].append({**shop.files["server/edits.csv"][0], "op_id": "d" * 32})


def _changed_by_itself(shop: Shop) -> None:
    shop.row("server/prices.csv", lambda row: row["sku"] == "B")["amount"] += 1


def _rows_from_nowhere(shop: Shop) -> None:
    shop.files["server/vendors.csv"].append({"vendor_id": "V9", "name": "Ghost", "version": 1})


def _document_from_nowhere(shop: Shop) -> None:
    """One document twice, under another number; the stock moved once."""
    rows = shop.files["server/goods_receipts.csv"]
    rows.append({**rows[0], "doc_no": "G9"})


def _cashier_from_nowhere(shop: Shop) -> None:
    """Somebody who may sell, and whom nobody hired."""
    shop.files["opening/cashiers.csv"] = [{"cashier_id": "K1", "name": "Anna"}]
    shop.files["server/cashiers.csv"] = [
        {"cashier_id": name, "name": "Anna", "active": 1, "version": 1} for name in ("K1", "K2")
    ]


def _version_from_nowhere(shop: Shop) -> None:
    shop.row("server/prices.csv", lambda row: row["sku"] == "P1")["version"] = 5


def _opening_edited(shop: Shop) -> None:
    shop.row("opening/prices.csv", lambda row: row["sku"] == "B")["amount"] += 1


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_lost, "the server does not have the operation"),
        (_lost_row, "an edited row is gone"),
        (_old_row, "an older version is there"),
        (_other_value, "amount is not what was asked for"),
        (_other_name, "name is not what was asked for"),
        (_other_quantity, "qty is not what was asked for"),
        (_refused_but_done, "refused, but done"),
        (_refused_again, "refused when it was asked again, but done"),
        (_nobody_edited, "an edit that nobody asked for"),
        (_changed_by_itself, "changed without an edit"),
        (_rows_from_nowhere, "a row that nobody made"),
        (_document_from_nowhere, "a row that nobody made"),
        (_cashier_from_nowhere, "a row that nobody made"),
        (_version_from_nowhere, "a later version that nobody wrote"),
        (_opening_edited, "changed without an edit"),
    ],
)
def test_a_lie_about_edits_is_convicted(ask: Try, spoil: Callable[[Shop], None], what: str) -> None:
    """Each trace is found and named."""
    shop = closed_shop()
    spoil(shop)
    assert convicted(ask(shop, "edits"), what)


def test_two_edits_with_one_version_are_convicted(ask: Try) -> None:
    """S20: both clerks were told that theirs is version 2."""
    shop = open_shop()
    shop.edit_prices(("B", VALID_FROM_MS, 2000))
    shop.prices["B", VALID_FROM_MS] = (1990, 1)
    shop.edit_prices(("B", VALID_FROM_MS, 2010))
    assert convicted(ask(shop, "edits"), "two edits have one version")


def test_an_edit_whose_answer_was_lost_counts_when_the_server_has_it(ask: Try) -> None:
    """Unknown to the clerk, known to the operation table."""
    shop = open_shop()
    shop.edit_prices(("B", VALID_FROM_MS, 2000), told="info")
    shop.move_goods("goods_receipt", "G7", [("B", 3000)], told="info")
    assert ask(shop, "edits").verdict is Verdict.VALID
    assert ask(shop, "stock").verdict is Verdict.VALID


def test_a_superseded_edit_is_acquitted(ask: Try) -> None:
    """A later version took its place."""
    shop = open_shop()
    shop.edit_prices(("B", VALID_FROM_MS, 2000))
    shop.edit_prices(("B", VALID_FROM_MS, 2100))
    assert ask(shop, "edits").verdict is Verdict.VALID


def test_a_row_is_not_called_changed_when_the_clerks_line_is_lost(ask: Try) -> None:
    """J2: one lost line may explain one change."""
    shop = closed_shop()
    vendor = next(line for line in shop.history if line.get("f") == "vendor" and line["type"] == "invoke")
    shop.history.remove(vendor)
    assert ask(shop, "edits").verdict is Verdict.UNKNOWN


def test_no_edit_is_nothing_known(ask: Try) -> None:
    """Nobody edited, nobody can tell."""
    assert ask(Shop().stage(), "edits").verdict is Verdict.UNKNOWN


def _server_stock(shop: Shop) -> None:
    """S34: the clerk's retry was posted twice."""
    for folder in ("server", "tills/T01", "tills/T02"):
        shop.row(f"{folder}/stock.csv", lambda row: row["sku"] == "B")["qty"] += 5000


def _till_stock(shop: Shop) -> None:
    shop.row("tills/T02/stock.csv")["qty"] -= 1000


def _opening_stock(shop: Shop) -> None:
    shop.row("opening/stock.csv")["qty"] += 1


def _count_changed(shop: Shop) -> None:
    shop.row("server/stock_counts.csv")["counted"] += 1


def _count_lost(shop: Shop) -> None:
    shop.files["server/stock_counts.csv"].clear()


def _delta(shop: Shop) -> None:
    shop.row("server/stock_counts.csv")["delta"] += 1


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_server_stock, "stock is not the sum"),
        (_till_stock, "stock is not the sum"),
        (_opening_stock, "stock is not the sum"),
        (_count_changed, "a count is not kept as counted"),
        (_count_lost, "a count is not kept as counted"),
        (_delta, "stock is not the sum"),
    ],
)
def test_a_lie_about_stock_is_convicted(ask: Try, spoil: Callable[[Shop], None], what: str) -> None:
    """Each trace is found and named."""
    shop = closed_shop()
    spoil(shop)
    assert convicted(ask(shop, "stock"), what)


def test_stock_withholds_when_the_clerks_line_is_lost(ask: Try) -> None:
    """J2: a movement without its line of history may explain the sum."""
    shop = closed_shop()
    goods = next(line for line in shop.history if line.get("f") == "goods_receipt" and line["type"] == "invoke")
    shop.history.remove(goods)
    assert ask(shop, "stock").verdict is Verdict.UNKNOWN


def test_no_stock_is_nothing_known(ask: Try) -> None:
    """No product, no acquittal."""
    shop = Shop().stage().derive()
    for name in [name for name in shop.files if name.endswith("/stock.csv")]:
        del shop.files[name]
    assert ask(shop, "stock").verdict is Verdict.UNKNOWN


def test_a_document_of_which_a_row_was_forgotten_is_convicted(ask: Try) -> None:
    """Two prices were asked for and confirmed; answer and server know of one."""
    shop = open_shop()
    before = shop.prices["B", VALID_FROM_MS]
    op_id = shop.edit_prices(("A", VALID_FROM_MS, 555), ("B", VALID_FROM_MS, 666))
    shop.prices["B", VALID_FROM_MS] = before
    answer = next(line for line in shop.history if line.get("op_id") == op_id and line["type"] == "ok")
    answer["rows"] = answer["rows"][:1]
    shop.edits[-1]["result"] = json.dumps(json.loads(shop.edits[-1]["result"])[:1])
    assert convicted(ask(shop, "edits"), "a row of it was not named")
