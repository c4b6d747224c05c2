"""The shop's goods as cashiers and clerks know them at opening, from the same CSV files that are imported."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from loadtest.plan import PlanInvalid

WEIGHED_SHARE = 8
SKEW = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A row of products.csv."""

    sku: str
    name: str
    tax_code: str
    vendor_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Products that have a price at opening, vendors, and tax codes with their rates (basis points)."""

    products: tuple[Product, ...]
    vendors: tuple[str, ...]
    tax_codes: tuple[str, ...]

    def pick(self, uniform: float, *, salt: int) -> Product:
        """Return the product for a uniform draw in [0, 1): skewed, so that 1 % of goods get a third of sales.

        `salt` spreads the popular ones over the catalogue, the same ones for the same salt.
        """
        size = len(self.products)
        rank = int(size * uniform**SKEW)
        return self.products[(rank * _stride(size) + salt) % size]


def _stride(size: int) -> int:
    """Return a step near 0.618 of the size that visits every index once."""
    step = max(1, int(size * 0.618))
    while math.gcd(step, size) != 1:
        step += 1
    return step


def is_weighed(sku: str) -> bool:
    """Tell whether a product is sold by weight: one in eight, by its number."""
    return crc32(sku.encode()) % WEIGHED_SHARE == 0


def read_catalogue(folder: Path) -> Catalogue:
    """Return the catalogue in a folder with products.csv and prices.csv. Raises PlanInvalid.

    vendors.csv and tax_rates.csv are read where they exist.
    """
    priced = {row["sku"] for row in _rows(folder / "prices.csv", ("sku", "amount"))}
    products = tuple(
        Product(sku=row["sku"], name=row["name"], tax_code=row["tax_code"], vendor_id=row["vendor_id"])
        for row in _rows(folder / "products.csv", ("sku", "name", "tax_code", "vendor_id"))
        if row["sku"] in priced
    )
    if not products:
        raise PlanInvalid(f"{folder}: no product of products.csv has a price in prices.csv")
    return Catalogue(
        products=products,
        vendors=_keys(folder / "vendors.csv", "vendor_id") or tuple(sorted({p.vendor_id for p in products})),
        tax_codes=_keys(folder / "tax_rates.csv", "tax_code") or tuple(sorted({p.tax_code for p in products})),
    )


def _keys(path: Path, column: str) -> tuple[str, ...]:
    return tuple(row[column] for row in _rows(path, (column,))) if path.exists() else ()


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise PlanInvalid(f"{path}: column {missing[0]} is missing")
            return list(reader)
    except OSError as error:
        raise PlanInvalid(f"{path}: can't be read: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise PlanInvalid(f"{path}: {error}") from error
