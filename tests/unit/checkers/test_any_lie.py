"""Properties: a generated shop in order is never convicted, and no single lie passes."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rehearsal.judge import judge
from rehearsal.model import Outcome
from tests.unit.checkers.shop import VALID_FROM_MS, Shop, closed_shop

STEPS = ("sale", "unknown", "refused", "repeat", "edited", "refund", "void", "price", "pair", "goods", "wait")
# What a spreadsheet user may change by one. Versions, times and counts of rows are amounts of another kind.
AMOUNTS = {
    "receipts.csv": ("gross", "tax"),
    "lines.csv": ("qty", "unit_price", "price_version", "discount", "tax", "amount", "tax_rate_bp"),
    "payments.csv": ("amount",),
    "settlement.csv": ("receipts", "gross", "tax", "amount"),
    "z.csv": ("receipts", "gross", "tax", "amount"),
    "prices.csv": ("amount", "version"),
    "stock.csv": ("qty",),
    "goods_receipts.csv": ("qty",),
    "vendor_returns.csv": ("qty",),
    "stock_counts.csv": ("counted", "delta"),
    "tax_rates.csv": ("rate_bp",),
    "samples.csv": ("a", "b"),
}


def _outcome(shop: Shop) -> tuple[Outcome, str]:
    with tempfile.TemporaryDirectory() as folder:
        said = judge(shop.write(Path(folder)))
        return said.verdict, said.why


def _play(shop: Shop, step: str, rng: random.Random, made: dict[str, str]) -> None:
    """Do one thing in the shop, if it can be done now."""
    till = rng.choice(list(shop.tills))
    skus = rng.sample(["A", "B", "C", "P1", "P2"], rng.randint(1, 3))
    lines = [(sku, rng.choice([1000, 2000, 250, 1333]), rng.choice([0, 0, 7])) for sku in skus]
    sales = [op for op, kind in made.items() if kind == "sale"]
    if step in ("sale", "unknown"):
        payments: list[tuple[str, int | None]] = [("card", 10), ("cash", None)] if rng.random() < 0.4 else []
        made[shop.sell(till, lines, payments, told="ok" if step == "sale" else "info")] = "sale"
    elif step == "refused":
        shop.sell(till, lines, told="fail")
    elif step == "price":
        shop.edit_prices((rng.choice("ABC"), rng.choice([VALID_FROM_MS, shop.now + 1]), rng.randint(1, 3000)))
    elif step == "pair":
        amount = rng.randint(1, 999)
        shop.edit_prices(("P1", VALID_FROM_MS, amount), ("P2", VALID_FROM_MS, 1000 - amount))
    elif step == "goods":
        kind = rng.choice(["goods_receipt", "vendor_return"])
        shop.move_goods(kind, f"D{shop.count}", [(sku, 1000) for sku in skus], told=rng.choice(["ok", "info"]))
    elif step == "wait":
        shop.now += rng.choice([100, 40_000])
    elif sales:
        sale = rng.choice(sales)
        owner = next(name for name, keeper in shop.tills.items() for e in keeper.entries if e[1].hex() == sale)
        if step in ("repeat", "edited"):
            known = any(line.get("op_id") == sale and line["type"] == "ok" for line in shop.history)
            shop.repeat(sale, edited=step == "edited" and known)
        elif step == "refund":
            made[sale] = "given back"
            shop.refund(till, sale)
        else:
            made[sale] = "given back"
            shop.void(owner, sale)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=25), st.integers(0, 2**32), st.booleans())
def test_a_shop_in_order_is_never_convicted(steps: list[str], seed: int, close: bool) -> None:
    """Whatever the cashiers and clerks do, in whatever order."""
    rng, shop = random.Random(seed), Shop().stage()  # noqa: S311 - reproducible on purpose
    for till in shop.tills:
        shop.open_day(till)
    made: dict[str, str] = {}
    for step in steps:
        _play(shop, step, rng, made)
    if close:
        for till in shop.tills:
            shop.close_day(till)
    shop.derive()
    if not close:
        shop.meta["claims"] = ["receipts", "money", "masters", "edits", "prices", "stock", "chain", "drain"]
        shop.meta["thresholds"] = ["sale.p99 <= 250ms"]
        shop.files["server/settlement.csv"] = shop.report("OPEN")
    outcome, why = _outcome(shop)
    assert outcome is not Outcome.NO_GO, why


def _cells() -> list[tuple[str, int, str]]:
    shop = closed_shop()
    return [
        (file, place, column)
        for file, rows in shop.files.items()
        for place in range(len(rows))
        for column in AMOUNTS.get(file.split("/")[-1], ())
        if column in rows[place]
    ]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(_cells()), st.sampled_from([-1, 1, 100]))
def test_no_changed_amount_passes(cell: tuple[str, int, str], change: int) -> None:
    """Any amount in any file, by any sum: NO-GO, even if somebody makes the digests fit."""
    file, place, column = cell
    shop = closed_shop()
    shop.files[file][place][column] += change
    outcome, why = _outcome(shop)
    assert outcome is Outcome.NO_GO, (file, place, column, why)


@pytest.mark.parametrize("file", ["tills/T01/receipts.csv", "tills/T02/receipts.csv", "server/receipts.csv",
                                  "tills/T01/journal.csv", "server/journal.csv", "tills/T02/lines.csv",
                                  "server/payments.csv", "tills/T01/z.csv", "server/settlement.csv"])  # fmt: skip
def test_no_deleted_row_passes(file: str) -> None:
    """Each row of each file of receipts and reports: NO-GO."""
    for place in range(len(closed_shop().files[file])):
        shop = closed_shop()
        gone = shop.files[file].pop(place)
        if file == "server/settlement.csv" and gone["amount"] == 0:
            continue  # a tender that came to nothing may be left out
        outcome, why = _outcome(shop)
        assert outcome is Outcome.NO_GO, (file, place, why)


def test_every_deleted_line_of_history_withholds_and_none_convicts() -> None:
    """Each line, one at a time: INCONCLUSIVE, neither GO nor NO-GO."""
    for place in range(len(closed_shop().history)):
        shop = closed_shop()
        line = shop.history.pop(place)
        outcome, why = _outcome(shop)
        assert outcome is Outcome.INCONCLUSIVE, (line, why)


def test_what_cashiers_and_clerks_saw_can_not_be_changed() -> None:
    """Every gross answered, quantity of a basket that was ok, and amount of a price."""
    tried = 0
    for place in range(len(closed_shop().history)):
        shop = closed_shop()
        line = shop.history[place]
        ok = line["type"] == "invoke" and shop.answer_to(line)["type"] == "ok"
        if line["type"] == "ok" and "gross" in line:
            line["gross"] += 1
        elif ok and line["f"] == "sale":
            line["basket"]["lines"][0]["qty"] += 1000
        elif ok and line["f"] == "price":
            line["doc"]["prices"][0]["amount"] += 1
        elif ok and line["f"] in ("goods_receipt", "vendor_return"):
            line["doc"]["lines"][0]["qty"] += 1000
        else:
            continue
        tried += 1
        outcome, why = _outcome(shop)
        assert outcome is Outcome.NO_GO, (line, why)
    assert tried > 10


def test_the_shop_of_these_tests_is_a_go() -> None:
    """Otherwise nothing above would mean anything."""
    assert _outcome(closed_shop())[0] is Outcome.GO
