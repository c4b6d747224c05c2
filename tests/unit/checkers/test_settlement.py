"""What the settlement checker convicts and acquits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rehearsal.model import Verdict
from tests.unit.checkers.conftest import Try, convicted
from tests.unit.checkers.shop import DATE, Row, Shop, closed_shop, open_shop


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


NEXT = "2025-06-16"


def _two_days(shop: Shop) -> Shop:
    """Close the first day, sell and close a second one."""
    for till in shop.tills:
        shop.close_day(till)
    for till in shop.tills:
        shop.open_day(till, NEXT)
        shop.entry(shop.sell(till, [("A", 1000, 0)]))[4] = NEXT
    for till in shop.tills:
        shop.close_day(till, NEXT)
    shop.derive()
    shop.meta["expected_z"] = [[till, date] for till in shop.tills for date in (DATE, NEXT)]
    return shop


def test_two_days_are_acquitted(ask: Try) -> None:
    """Each date has its own receipts."""
    assert ask(_two_days(open_shop()), "settlement").verdict is Verdict.VALID


def test_a_sale_booked_on_the_next_day_is_convicted(ask: Try) -> None:
    """Everything agrees on the wrong date: entry, rows, both Zs and the settlement."""
    shop = open_shop()
    shop.entry(shop.sell("T01", [("A", 1000, 0)]))[4] = NEXT
    assert convicted(ask(_two_days(shop), "settlement"), "a receipt of a date that was not open")


def test_a_sale_after_its_z_is_convicted_though_the_server_calls_it_tallied(ask: Try) -> None:
    """S37's trace: the Z does not cover what the settlement adds up."""
    shop = open_shop()
    for till in shop.tills:
        shop.close_day(till)
    shop.sell("T01", [("A", 1000, 0)])
    shop.derive()
    shop.files["server/settlement.csv"] = shop.report("TALLIED")
    assert convicted(ask(shop, "settlement"), "a receipt of a date that was not open")


def test_a_journal_takes_over_the_open_date_of_the_one_that_it_continues(ask: Try) -> None:
    """No opening stands in the new journal."""
    shop = open_shop()
    shop.continue_journal("T01", len(shop.tills["T01"].entries))
    shop.sell("T01", [("A", 1000, 0)])
    for till in shop.tills:
        shop.close_day(till)
    assert ask(shop.derive(), "settlement").verdict is Verdict.VALID


def test_a_journal_is_not_followed_where_what_it_continues_ends_earlier(ask: Try) -> None:
    """The rest was journaled anew, behind what the new journal had by then: its order is not the till's."""
    shop = open_shop()
    old = shop.tills["T01"]
    opened = old.entries[0]
    shop.continue_journal("T01", 1)
    del old.entries[:]
    shop.sell("T01", [("A", 1000, 0)])
    shop.tills["T01"].entries.append(opened)
    shop.derive()
    found = [row["what"] for row in ask(shop, "settlement").evidence if "till" in row and row["till"] == "T01"]
    assert not any("not open" in what for what in found)


def test_a_z_of_the_server_that_no_till_made_is_convicted(ask: Try) -> None:
    """It has no entry."""
    shop = closed_shop()
    shop.files["server/z.csv"] = [dict(row) for till in shop.tills for row in shop.files[f"tills/{till}/z.csv"]]
    assert ask(shop, "settlement").verdict is Verdict.VALID
    shop.files["server/z.csv"].append({**shop.files["server/z.csv"][0], "business_date": NEXT})
    assert convicted(ask(shop, "settlement"), "a Z row has no entry")


def test_cash_that_was_counted_otherwise_is_convicted(ask: Try) -> None:
    """Entry and shown Z agree on what nobody counted."""
    shop = open_shop()
    shop.close_day("T01")
    shop.tills["T01"].entries[-1][12] += 1
    assert convicted(ask(shop, "settlement"), "cash as counted")


def _opened(shop: Shop) -> tuple[Row, list[Any]]:
    asked = next(line for line in shop.history if line["type"] == "invoke" and line["f"] == "open")
    return asked, shop.tills["T01"].entries[0]


def _other_float(shop: Shop) -> None:
    asked, entry = _opened(shop)
    asked["float_cash"] = entry[5] + 1


def _other_date(shop: Shop) -> None:
    _opened(shop)[0]["business_date"] = NEXT


def _other_id(shop: Shop) -> None:
    _opened(shop)[1][1] = b"0123456789abcdef"


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_other_float, "float_cash as opened"),
        (_other_date, "business_date as opened"),
        (_other_id, "a day's opening was ok, but it is not in the journal"),
    ],
)
def test_a_day_that_was_opened_otherwise_is_convicted(ask: Try, spoil: Callable[[Shop], None], what: str) -> None:
    """What the cashier was told is open, by its date and the cash in the drawer."""
    shop = open_shop()
    spoil(shop)
    assert convicted(ask(shop, "settlement"), what)


@pytest.mark.parametrize("place", [10, 11])
def test_a_z_that_names_a_tender_or_a_rate_twice_is_no_entry(ask: Try, place: int) -> None:
    """Whoever reads it could take the first or the last."""
    shop = open_shop()
    shop.close_day("T01")
    items = shop.tills["T01"].entries[-1][place]
    items.insert(0, [items[0][0], *(1 for _ in items[0][1:])])
    assert convicted(ask(shop, "chain"), "is there twice")


def test_nothing_sold_is_nothing_known(ask: Try) -> None:
    """No date, no acquittal."""
    assert ask(Shop().stage(), "settlement").verdict is Verdict.UNKNOWN
