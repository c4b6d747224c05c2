"""Masters follow from the seed byte for byte; the user's own are taken, or refused with file and line."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from rehearsal.catalogue import Catalogue, build_catalogue
from rehearsal.own_masters import COLUMNS, MastersInvalid
from rehearsal.plan.scenario import CataloguePlan

PLAN = CataloguePlan(products=200, vendors=5, pairs=8)


def build(folder: Path, *, seed: int = 3, masters: Path | None = None) -> Catalogue:
    """Build a small catalogue."""
    return build_catalogue(folder, plan=PLAN, cashiers=2, seed=seed, masters=masters)


def rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def own(folder: Path, **files: str) -> Path:
    """Write the user's files."""
    masters = folder / "own"
    masters.mkdir()
    for name, text in files.items():
        (masters / f"{name}.csv").write_text(text)
    return masters


def test_one_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """All files of two builds are equal, and those of another seed are not."""
    build(tmp_path / "a")
    build(tmp_path / "b")
    build(tmp_path / "c", seed=4)
    for name in COLUMNS:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert (tmp_path / "a" / "prices.csv").read_bytes() != (tmp_path / "c" / "prices.csv").read_bytes()


def test_generated_masters_fit_each_other(tmp_path: Path) -> None:
    """Every product has a price, stock, a known tax code and a known vendor."""
    build(tmp_path)
    skus = {row["sku"] for row in rows(tmp_path / "products.csv")}
    assert len(skus) == 200
    assert {row["sku"] for row in rows(tmp_path / "prices.csv")} == skus
    assert {row["sku"] for row in rows(tmp_path / "stock.csv")} == skus
    codes = {row["tax_code"] for row in rows(tmp_path / "tax_rates.csv")}
    vendors = {row["vendor_id"] for row in rows(tmp_path / "vendors.csv")}
    assert {row["tax_code"] for row in rows(tmp_path / "products.csv")} <= codes
    assert {row["vendor_id"] for row in rows(tmp_path / "products.csv")} <= vendors
    assert all(int(row["amount"]) > 0 for row in rows(tmp_path / "prices.csv"))


def test_pairs_add_up_and_share_no_product(tmp_path: Path) -> None:
    """The sum of a pair is that of its opening prices."""
    catalogue = build(tmp_path)
    assert len(catalogue.pairs) == 8
    assert len({sku for a, b, _ in catalogue.pairs for sku in (a, b)}) == 16
    assert all(catalogue.prices[a] + catalogue.prices[b] == total for a, b, total in catalogue.pairs)


def test_own_masters_are_taken_and_missing_files_made_to_fit(tmp_path: Path) -> None:
    """From products.csv alone come prices, vendors and stock for just these products."""
    masters = own(tmp_path, products="sku,name,tax_code,vendor_id\nA1,Apple,RED,ACME\nB2,Book,STD,BOOKS\n")
    catalogue = build(tmp_path / "out", masters=masters)
    assert catalogue.products == 2
    assert {row["sku"] for row in rows(tmp_path / "out" / "prices.csv")} == {"A1", "B2"}
    assert {row["vendor_id"] for row in rows(tmp_path / "out" / "vendors.csv")} == {"ACME", "BOOKS"}


PRICES = "sku,valid_from_ms,amount\n"
PRODUCTS = "sku,name,tax_code,vendor_id\nA1,Apple,RED,ACME\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"products": "sku,name,tax_code\nA1,Apple,RED\n"}, "products.csv, line 1: column vendor_id is missing"),
        ({"products": PRODUCTS + "A1,Again,RED,ACME\n"}, "line 3: sku: 'A1' is there twice, first in line 2"),
        ({"products": PRODUCTS + ",Nothing,RED,ACME\n"}, "products.csv, line 3: sku is empty"),
        ({"products": PRODUCTS.replace("RED", "LOW")}, "tax_code: 'LOW' is not in tax_rates.csv"),
        ({"products": PRODUCTS, "prices": PRICES + "A1,0,1.99\n"}, "line 2: amount: '1.99' is not a whole number"),
        ({"products": PRODUCTS, "prices": PRICES + "A1,0,-5\n"}, "amount: -5 is out of range"),
        ({"products": PRODUCTS, "prices": PRICES + "Z9,0,5\n"}, "sku: 'Z9' is not in products.csv"),
        ({"products": PRODUCTS, "vendors": "vendor_id,name\nOTHER,Other\n"}, "'ACME' is not in vendors.csv"),
        ({"prices": PRICES + "A1,0,5\n"}, "need their products.csv"),
        ({"products": "sku,name,tax_code,vendor_id\n"}, "products.csv: has no rows"),
        ({}, "none of products.csv"),
    ],
)  # fmt: skip
def test_own_masters_that_do_not_fit_are_refused(tmp_path: Path, files: dict[str, str], said: str) -> None:
    """Each error names the file, the line and the value."""
    masters = own(tmp_path, **files)
    with pytest.raises(MastersInvalid) as caught:
        build(tmp_path / "out", masters=masters)
    assert said in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are said to be so."""
    masters = own(tmp_path)
    (masters / "products.csv").write_bytes(b"sku,name,tax_code,vendor_id\nA1,\xff\xfe,RED,ACME\n")
    with pytest.raises(MastersInvalid, match="not a CSV file in UTF-8"):
        build(tmp_path / "out", masters=masters)
    with pytest.raises(MastersInvalid, match="not a folder"):
        build(tmp_path / "out", masters=tmp_path / "nowhere")
