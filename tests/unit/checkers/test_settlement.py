"""What the settlement checker convicts and acquits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rehearsal.model import Verdict
from tests.unit.checkers.conftest import Try, convicted
from tests.unit.checkers.shop import DATE, Shop, closed_shop, open_shop


def test_a_closed_shop_is_acquitted(ask: Try) -> None:
    """Entries, rows, settlement and Z add up to the same."""
    result = ask(closed_shop(), "settlement")
    assert result.verdict is Verdict.VALID
    assert result.figures["gross_minor"] == 4802


def test_a_day_that_is_open_on_purpose_is_acquitted(ask: Try) -> None:
    """A scenario without a close has no Z to expect; the server says OPEN."""
    shop = open_shop().derive()
    shop.files["server/settlement.csv"] = shop.report("OPEN")
    assert ask(shop, "settlement").verdict is Verdict.VALID


def _set_aside(shop: Shop) -> None:
    """S16: a full disk was taken for poison; the server reports what it posted."""
    sale = shop.files["server/receipts.csv"].pop(0)
    for row in shop.files["server/settlement.csv"]:
        if row["till"] == "T01":
            row["receipts"] -= 1
            row["gross"] -= sale["gross"]
            row["tax"] -= sale["tax"]


def _refund_refused(shop: Shop) -> None:
    """S36: the refund of an unknown receipt was not posted."""
    shop.files["server/receipts.csv"] = [
        row for row in shop.files["server/receipts.csv"] if row["kind"] != "refund"
    ]


def _on_another_date(shop: Shop) -> None:
    """S38: a late sale is counted today."""
    shop.row("server/receipts.csv")["business_date"] = DATE.replace("15", "16")


def _mismatch(shop: Shop) -> None:
    shop.row("server/settlement.csv")["state"] = "MISMATCH"


def _restated(shop: Shop) -> None:
    for row in shop.files["server/settlement.csv"]:
        row["state"] = "RESTATED"


def _missing_z(shop: Shop) -> None:
    shop.meta["expected_z"].append(["T03", DATE])


def _lost_date(shop: Shop) -> None:
    shop.files["server/settlement.csv"] = [
        row for row in shop.files["server/settlement.csv"] if row["till"] != "T02"
    ]


def _other_tender(shop: Shop) -> None:
    shop.row("server/settlement.csv", lambda row: row["tender"] == "card")["tender"] = "voucher"


def _cashier_saw_another(shop: Shop) -> None:
    next(line for line in shop.history if "z" in line)["z"]["gross"] += 1


def _contradictory(shop: Shop) -> None:
    shop.files["server/settlement.csv"][1]["receipts"] += 1


def _z_row(shop: Shop) -> None:
    shop.row("tills/T01/z.csv")["amount"] -= 1


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_set_aside, "server: gross against entries"),
        (_refund_refused, "server rows: gross against entries"),
        (_on_another_date, "server rows: gross against entries"),
        (_mismatch, "not tallied"),
        (_restated, "not tallied"),
        (_missing_z, "a Z report is missing"),
        (_lost_date, "a date is missing"),
        (_other_tender, "server: tenders against entries"),
        (_cashier_saw_another, "Z as shown: gross"),
        (_contradictory, "contradict each other"),
        (_z_row, "z rows of the till"),
    ],
)
def test_a_lie_about_settlement_is_convicted(ask: Try, spoil: Callable[[Shop], None], what: str) -> None:
    """Each trace is found and named."""
    shop = closed_shop()
    spoil(shop)
    assert convicted(ask(shop, "settlement"), what)


def test_a_sale_at_closing_that_the_z_forgot_is_convicted(ask: Try) -> None:
    """S37: the Z was computed outside the transaction that closed the day."""
    shop = open_shop()
    shop.close_day("T01")
    z = shop.tills["T01"].entries.pop()
    shop.sell("T01", [("A", 1000, 0)])
    shop.tills["T01"].entries.append(z)
    assert convicted(ask(shop, "settlement"), "Z: gross")


def test_a_wrong_tax_total_in_the_z_is_convicted(ask: Try) -> None:
    """By rate, too."""
    shop = open_shop()
    shop.close_day("T01")
    shop.tills["T01"].entries[-1][11][0][2] += 1
    assert convicted(ask(shop, "settlement"), "Z: tax rates")


def test_a_closed_day_without_its_z_is_convicted(ask: Try) -> None:
    """The cashier saw a Z that the journal does not have."""
    shop = open_shop()
    shop.close_day("T01")
    shop.tills["T01"].entries.pop()
    shop.derive()
    shop.meta["expected_z"] = [["T01", DATE]]
    assert convicted(ask(shop, "settlement"), "a close was ok, but its Z is not in the journal")


def test_a_restated_date_is_accepted_only_where_late_sales_are_declared(ask: Try) -> None:
    """RESTATED agreed once, and again with the late sale."""
    shop = closed_shop()
    _restated(shop)
    shop.meta["options"] = {"late_sales": "true"}
    assert ask(shop, "settlement").verdict is Verdict.VALID


def test_nothing_sold_is_nothing_known(ask: Try) -> None:
    """No date, no acquittal."""
    assert ask(Shop().stage(), "settlement").verdict is Verdict.UNKNOWN
