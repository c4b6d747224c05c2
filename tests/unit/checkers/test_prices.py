"""What the prices checker convicts and acquits."""

from __future__ import annotations

import pytest

from rehearsal.model import Verdict
from tests.unit.checkers.conftest import Try, convicted
from tests.unit.checkers.shop import START_MS, VALID_FROM_MS, Shop, closed_shop, open_shop

MINUTE_MS = 60_000
FUTURE_MS = START_MS + 10 * MINUTE_MS


def _shop() -> Shop:
    shop = Shop().stage()
    shop.open_day("T01")
    shop.sell("T01", [("A", 1000, 0)])
    return shop


def _old(shop: Shop, sku: str = "A", price: tuple[int, int] = (199, 1)) -> Shop:
    """Sell at the opening price."""
    shop.sell("T01", [(sku, 1000, 0)], price={sku: price})
    return shop


def test_a_consistent_shop_is_acquitted(ask: Try) -> None:
    """Prices as of the opening and as edited."""
    assert ask(closed_shop(), "prices").verdict is Verdict.VALID


@pytest.mark.parametrize("price", [(200, 1), (199, 2), (249, 7)])
def test_a_price_that_nobody_set_is_convicted(ask: Try, price: tuple[int, int]) -> None:
    """The version recorded must have that amount."""
    assert convicted(ask(_old(_shop(), price=price), "prices"), "a price that nobody set")


def test_the_newest_price_before_its_time_is_convicted(ask: Try) -> None:
    """S29: a price sent ahead is used as soon as it is there."""
    shop = _shop()
    shop.edit_prices(("A", FUTURE_MS, 249))
    shop.now += MINUTE_MS
    assert convicted(ask(_old(shop, price=(249, 1)), "prices"), "not valid yet")


def test_an_edit_in_flight_gives_a_set(ask: Try) -> None:
    """Right after the edit either price is legal."""
    for price in ((199, 1), (249, 1)):
        shop = _shop()
        shop.edit_prices(("A", shop.now, 249))
        assert ask(_old(shop, price=price), "prices").verdict is Verdict.VALID


def test_a_price_before_anybody_asked_for_it_is_convicted(ask: Try) -> None:
    """No till knows the future."""
    shop = _shop()
    shop.prices["A", VALID_FROM_MS] = (199, 1)
    _old(shop, price=(249, 2))
    shop.now += 5000
    shop.edit_prices(("A", VALID_FROM_MS, 249))
    assert convicted(ask(shop, "prices"), "before anybody asked for it")


def test_a_stale_price_on_an_online_till_is_convicted(ask: Try) -> None:
    """S19, S26: the edit is older than the bound, and no fault was in the way."""
    shop = _shop()
    shop.edit_prices(("A", shop.now, 249))
    shop.now += 35_000
    assert convicted(ask(_old(shop), "prices"), "an older price, though the one valid from")


def test_a_superseded_version_of_one_row_is_convicted(ask: Try) -> None:
    """The same row, corrected."""
    shop = _shop()
    shop.edit_prices(("A", VALID_FROM_MS, 249))
    shop.now += 35_000
    assert convicted(ask(_old(shop), "prices"), "a superseded version")


def test_an_offline_till_may_use_what_it_had(ask: Try) -> None:
    """Cut off before it could learn of the edit."""
    shop = _shop()
    begin = shop.now
    shop.edit_prices(("A", shop.now, 249))
    shop.now += 5 * MINUTE_MS
    _old(shop).derive()
    shop.meta["faults"][0].update(kind="cut", targets=["T01"], started_ms=begin, ended_ms=shop.now + 1000)
    assert ask(shop, "prices").verdict is Verdict.VALID
    shop.meta["faults"][0]["targets"] = ["T02"]
    assert convicted(ask(shop, "prices"), "an older price")


def test_a_price_received_before_the_cut_flips_offline_too(ask: Try) -> None:
    """S29's other half: sent ahead, begun, and not used."""
    shop = _shop()
    shop.edit_prices(("A", FUTURE_MS, 249))
    begin = shop.now + MINUTE_MS
    shop.now = FUTURE_MS + 30_000
    _old(shop).derive()
    shop.meta["faults"][0].update(kind="cut", targets=["T01"], started_ms=begin, ended_ms=shop.now + 1000)
    assert convicted(ask(shop, "prices"), "had been received")


def test_a_flip_within_the_clock_error_may_go_either_way(ask: Try) -> None:
    """Two seconds before and after."""
    for price in ((199, 1), (249, 1)):
        shop = _shop()
        shop.edit_prices(("A", FUTURE_MS, 249))
        shop.now = FUTURE_MS - 600
        assert ask(_old(shop, price=price), "prices").verdict is Verdict.VALID


def test_a_price_that_flips_back_is_convicted(ask: Try) -> None:
    """S30: the raw clock jumped back, and the till with it."""
    shop = _shop()
    shop.edit_prices(("A", shop.now, 249))
    _old(shop, price=(249, 1))
    _old(shop)
    assert convicted(ask(shop, "prices"), "flipped back")


def test_a_clock_that_jumped_back_does_not_excuse_an_old_price(ask: Try) -> None:
    """S30: another product; the till's own records say that the time had come."""
    shop = _shop()
    shop.edit_prices(("A", FUTURE_MS, 249))
    shop.now = FUTURE_MS + 10_000
    shop.sell("T01", [("B", 1000, 0)])
    _old(shop)
    shop.tills["T01"].entries[-1][5] -= 5 * MINUTE_MS
    shop.derive()
    shop.meta["clock_error"] = {"T01": 5 * MINUTE_MS}
    assert convicted(ask(shop, "prices"), "an older price")


def test_a_version_that_goes_back_is_convicted(ask: Try) -> None:
    """S23: a staged older row overwrote the urgent one."""
    shop = _shop()
    shop.edit_prices(("A", VALID_FROM_MS, 249))
    _old(shop, price=(249, 2))
    _old(shop)
    assert convicted(ask(shop, "prices"), "went back from version 2")


def test_a_time_that_nobody_was_there_is_convicted(ask: Try) -> None:
    """A receipt's time lies between question and answer, or its till's clock was moved by a declared fault."""
    shop = _shop()
    shop.sell("T01", [("A", 1000, 0)])
    shop.tills["T01"].entries[-1][5] += MINUTE_MS
    assert convicted(ask(shop, "prices"), "time is not when it was made")
    shop.meta["clock_error"] = {"T01": MINUTE_MS}
    assert ask(shop, "prices").verdict is Verdict.VALID


@pytest.mark.parametrize("kind", ["refund", "void"])
def test_a_time_that_nobody_was_there_is_convicted_of_what_is_given_back_too(ask: Try, kind: str) -> None:
    """Nothing is sold by it, but it is of a time."""
    shop = open_shop()
    entry = next(entry for till in shop.tills.values() for entry in till.entries if entry[2] == kind)
    entry[5] -= MINUTE_MS
    assert convicted(ask(shop, "prices"), "time is not when it was made")


def test_a_withdrawn_product_that_is_still_sold_is_convicted(ask: Try) -> None:
    """A recall, older than the bound."""
    shop = _shop()
    shop.edit_product("A", active=0)
    shop.now += 35_000
    shop.sell("T01", [("A", 1000, 0)])
    assert convicted(ask(shop, "prices"), "withdrawn")


def test_a_stale_tax_rate_is_convicted(ask: Try) -> None:
    """The product's tax code was changed long ago."""
    shop = _shop()
    shop.edit_product("A", tax_code="RED")
    shop.now += 35_000
    shop.products["A"]["tax_code"] = "STD"
    shop.sell("T01", [("A", 1000, 0)])
    assert convicted(ask(shop, "prices"), "a tax rate that was not in force")


def test_a_price_is_not_called_invented_when_the_clerks_line_is_lost(ask: Try) -> None:
    """J2: the edit's line of history may be the one that is missing."""
    shop = closed_shop()
    edit = next(line for line in shop.history if line.get("f") == "price" and line["type"] == "invoke")
    shop.history.remove(edit)
    assert ask(shop, "prices").verdict is Verdict.UNKNOWN


def test_nothing_sold_is_nothing_known(ask: Try) -> None:
    """No line, no acquittal."""
    shop = Shop().stage()
    shop.open_day("T01")
    assert ask(shop, "prices").verdict is Verdict.UNKNOWN


def _anew(*, late: bool) -> Shop:
    """A sale before a flip, journaled anew after it: first in the new journal, or `late`, behind another sale."""
    shop = _shop()
    shop.edit_prices(("A", FUTURE_MS, 249))
    shop.now += 5 * MINUTE_MS
    mark = len(shop.tills["T01"].entries)
    entry = _old(shop).tills["T01"].entries.pop()
    entry.append(shop.tills["T01"].number(entry[3]))
    shop.now = FUTURE_MS + 30_000
    shop.continue_journal("T01", mark)
    if late:
        shop.sell("T01", [("A", 1000, 0)])
    shop.tills["T01"].entries.append(entry)
    return shop


@pytest.mark.parametrize("late", [False, True])
def test_a_sale_that_was_journaled_anew_is_judged_by_the_time_at_which_it_was_made(ask: Try, late: bool) -> None:
    """The price had begun when the journal was continued, not when it was sold; what follows is no exception."""
    shop = _anew(late=late)
    shop.sell("T01", [("A", 1000, 0)])
    found = ask(shop, "prices")
    assert found.verdict is Verdict.VALID, found.detail
    assert convicted(ask(_old(_anew(late=late)), "prices"), "an older price")
