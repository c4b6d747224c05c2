"""Clerks' documents."""

from __future__ import annotations

from collections import Counter

from loadtest.catalogue import Catalogue, Product
from loadtest.edits import KINDS, Desk, Edit, draw_edit
from loadtest.operations import operation_id

CATALOGUE = Catalogue(
    products=tuple(Product(sku=f"S{i}", name=f"p{i}", tax_code="A", vendor_id="V1") for i in range(300)),
    vendors=("V1", "V2"),
    tax_codes=("A", "B"),
)
PAIRS = (("S1", "S2", 1000), ("S3", "S4", 777))
NOW_MS = 1_000_000


def documents(count: int, *, seed: int = 1, pairs: tuple[tuple[str, str, int], ...] = PAIRS) -> list[Edit]:
    """Return a clerk's first documents, all of them ok."""
    desk, made = Desk(), []
    for n in range(count):
        edit = draw_edit(
            seed=seed, stream="clerk|0", n=n, mark=operation_id("run", n), catalogue=CATALOGUE, pairs=pairs,
            desk=desk, now_ms=NOW_MS + n, repeat_share=0.02,
        )  # fmt: skip
        desk.remember(edit)
        made.append(edit)
    return made


def test_the_same_seed_gives_the_same_documents() -> None:
    """Documents follow from the seed, the clock and what was written before."""
    assert documents(200) == documents(200) != documents(200, seed=2)


def test_every_kind_of_document_is_written() -> None:
    """A long day at the desk has all of them, with deletions and corrections."""
    made = documents(1500)
    assert {edit.f for edit in made} == {
        "price", "product", "vendor", "tax_rate", "goods_receipt", "vendor_return", "stock_count", "cashier",
    }  # fmt: skip
    assert any(edit.doc.get("urgent") for edit in made)
    assert any(row.get("deleted") for edit in made for row in edit.doc.get("products", ()))
    assert any(
        row["valid_from_ms"] > NOW_MS + n for n, edit in enumerate(made) for row in edit.doc.get("prices", ())
    )
    assert (
        max(Counter((row["sku"], row["valid_from_ms"]) for e in made for row in e.doc.get("prices", ())).values())
        > 1
    )
    assert sum(edit.repeat for edit in made) > 5


def test_pairs_change_only_together_and_keep_their_sum() -> None:
    """No other document touches a pair's price."""
    sums = {frozenset((a, b)): total for a, b, total in PAIRS}
    paired = {sku for pair in sums for sku in pair}
    seen = 0
    for edit in documents(1500):
        rows = edit.doc.get("prices", ())
        touched = [row for row in rows if row["sku"] in paired]
        if touched:
            seen += 1
            assert sums[frozenset(row["sku"] for row in rows)] == sum(row["amount"] for row in rows)
            assert len({row["valid_from_ms"] for row in rows}) == 1 and all(row["amount"] > 0 for row in rows)
    assert seen > 100


def test_a_clerk_deletes_only_products_of_its_own() -> None:
    """The shelf stays sellable."""
    made: set[str] = set()
    for edit in documents(1500):
        for row in edit.doc.get("products", ()):
            if row.get("deleted"):
                assert row["sku"] in made
                made.discard(row["sku"])
            elif row["sku"].startswith("N"):
                made.add(row["sku"])


def test_documents_have_numbers_of_their_own() -> None:
    """No document number is used twice."""
    numbers = [edit.doc["doc_no"] for edit in documents(1500) if "doc_no" in edit.doc]
    assert len(numbers) == len(set(numbers)) > 50


def test_without_pairs_single_prices_take_their_place() -> None:
    """A masters folder of one's own needs no pairs."""
    assert all(edit.f in {"price", *KINDS, "product"} for edit in documents(300, pairs=()))
