"""What the masters and documents checkers convict and acquit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rehearsal.model import Verdict
from tests.unit.checkers.conftest import Try, convicted
from tests.unit.checkers.shop import START_MS, Row, Shop, closed_shop


def test_equal_masters_are_acquitted(ask: Try) -> None:
    """Row by row, version by version."""
    assert ask(closed_shop(), "masters").verdict is Verdict.VALID


def _skipped(shop: Shop) -> None:
    """S19, S24, S28: a change was never read."""
    shop.row("tills/T02/prices.csv", lambda row: row["sku"] == "P1").update(amount=400, version=1)


def _value_of_another_version(shop: Shop) -> None:
    """S20: values by commit order: the version is right, the value is not."""
    shop.row("tills/T02/vendors.csv", lambda row: row["vendor_id"] == "V2")["name"] = "Fishmonger"


def _tombstone(shop: Shop) -> None:
    """S25: a deleted row stays on the till."""
    for till in ("server", "tills/T01"):
        shop.files[f"{till}/products.csv"] = [
            row for row in shop.files[f"{till}/products.csv"] if row["sku"] != "C"
        ]


def _missing(shop: Shop) -> None:
    """S26, S27: a row never came."""
    shop.files["tills/T01/prices.csv"].pop()


def _twice(shop: Shop) -> None:
    shop.files["tills/T01/prices.csv"].append(dict(shop.files["tills/T01/prices.csv"][0]))


def _stock_row(shop: Shop) -> None:
    shop.row("tills/T01/stock.csv")["qty"] += 1


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (_skipped, "a row differs"),
        (_value_of_another_version, "a row differs"),
        (_tombstone, "a row that the server does not have"),
        (_missing, "a row is missing"),
        (_twice, "a row twice"),
        (_stock_row, "a row differs"),
    ],
)
def test_masters_that_differ_are_convicted(ask: Try, spoil: Callable[[Shop], None], what: str) -> None:
    """Each trace is found and named."""
    shop = closed_shop()
    spoil(shop)
    assert convicted(ask(shop, "masters"), what)


def _sample(**values: object) -> Row:
    return {"till": "T01", "at_ms": START_MS + 100_000, "online": "1", "age_ms": "", "term_n": 1, "cursor_pos": 7,
            **values}  # fmt: skip


OTHER = _sample(till="T02")


def test_masters_that_are_stale_while_online_are_convicted(ask: Try) -> None:
    """S28, S17: the bound is 30 s; no fault touched the till."""
    shop = closed_shop()
    shop.files["masters_samples.csv"] = [OTHER, _sample(age_ms=5000), _sample(age_ms=31_000)]
    assert convicted(ask(shop, "masters"), "stale beyond its bound")


def test_masters_that_are_stale_under_a_fault_are_excused(ask: Try) -> None:
    """A till that is cut off can't be fresh; nor one that says it is offline."""
    shop = closed_shop()
    shop.files["masters_samples.csv"] = [OTHER, _sample(age_ms=31_000), _sample(age_ms=90_000, online="0")]
    cut = {"kind": "cut", "targets": ["T01"], "started_ms": START_MS + 75_000, "ended_ms": START_MS + 99_000}
    shop.meta["faults"][0].update(cut)
    assert ask(shop, "masters").verdict is Verdict.VALID


def test_a_fault_of_another_till_excuses_nobody(ask: Try) -> None:
    """Only what touches a till, or what all share."""
    shop = closed_shop()
    shop.files["masters_samples.csv"] = [OTHER, _sample(age_ms=31_000)]
    cut = {"kind": "cut", "targets": ["T02"], "started_ms": START_MS + 75_000, "ended_ms": START_MS + 99_000}
    shop.meta["faults"][0].update(cut)
    assert convicted(ask(shop, "masters"), "stale beyond its bound")
    shop.meta["faults"][0]["targets"] = ["server"]
    assert ask(shop, "masters").verdict is Verdict.VALID


def test_a_cursor_that_goes_back_is_convicted(ask: Try) -> None:
    """S24: within a term it only grows."""
    shop = closed_shop()
    shop.files["masters_samples.csv"] = [OTHER, _sample(cursor_pos=9), _sample(cursor_pos=8)]
    assert convicted(ask(shop, "masters"), "a cursor went back")
    shop.files["masters_samples.csv"] = [OTHER, _sample(cursor_pos=9), _sample(cursor_pos=8, term_n=2)]
    assert ask(shop, "masters").verdict is Verdict.VALID


def test_a_till_whose_masters_nobody_sampled_is_nothing_known(ask: Try) -> None:
    """Neither its staleness nor its cursor was looked at."""
    shop = closed_shop()
    shop.files["masters_samples.csv"] = [OTHER]
    result = ask(shop, "masters")
    assert result.verdict is Verdict.UNKNOWN
    assert "T01" in str(result.evidence)


def test_a_till_without_masters_is_nothing_known(ask: Try) -> None:
    """A missing witness is not an acquittal."""
    shop = closed_shop()
    del shop.files["tills/T02/prices.csv"]
    assert ask(shop, "masters").verdict is Verdict.UNKNOWN


def test_whole_documents_are_acquitted(ask: Try) -> None:
    """Both prices of a pair changed together."""
    assert ask(closed_shop(), "documents").verdict is Verdict.VALID


def test_half_a_document_on_a_screen_is_convicted(ask: Try) -> None:
    """S21, S22: one price of the pair is new, the other old."""
    shop = closed_shop()
    shop.files["samples.csv"].append({**shop.files["samples.csv"][0], "a": 450, "b": 600})
    assert convicted(ask(shop, "documents"), "half a document was seen")


def test_half_a_document_in_the_database_is_convicted(ask: Try) -> None:
    """S22: at the end, or in the opening masters."""
    for file in ("server/prices.csv", "opening/prices.csv"):
        shop = closed_shop()
        shop.row(file, lambda row: row["sku"] == "P2")["amount"] += 1
        assert convicted(ask(shop, "documents"), "half a document is in a database")


def test_half_a_document_on_a_receipt_is_convicted(ask: Try) -> None:
    """S21: nobody looked, but somebody bought."""
    shop = closed_shop()
    shop = Shop().stage()
    shop.open_day("T01")
    shop.edit_prices(("P1", shop.now, 450), ("P2", shop.now, 550))
    shop.sell("T01", [("P1", 1000, 0), ("P2", 1000, 0)], price={"P1": (450, 1), "P2": (600, 1)})
    assert convicted(ask(shop, "documents"), "half a document was sold")


def test_documents_that_nobody_wrote_or_saw_are_nothing_known(ask: Try) -> None:
    """No pair was changed; or it was, and no sample saw it."""
    shop = Shop().stage()
    assert ask(shop, "documents").verdict is Verdict.UNKNOWN
    shop = closed_shop()
    shop.files["samples.csv"] = shop.files["samples.csv"][:2]
    assert ask(shop, "documents").verdict is Verdict.UNKNOWN
    shop.files["samples.csv"] = []
    assert ask(shop, "documents").verdict is Verdict.UNKNOWN
