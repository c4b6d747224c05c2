"""The masters of a run: generated from the seed, or the user's own files with the missing ones generated.

One seed gives the same files byte for byte. Amounts are minor units with tax, stock is in thousandths.
Pairs are two products whose prices add up to the same sum in every consistent state: clerks change both
in one document, so half a document shows.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rehearsal.own_masters import COLUMNS, Rows, check_references, read_own
from rehearsal.plan.scenario import CataloguePlan

OPENING_MS = 1_700_000_000_000  # prices of the opening are valid from here (2023-11-14)
TAX_RATES = (("STD", 1900), ("RED", 700), ("ZERO", 0))
_KINDS = (
    "Milk",
    "Bread",
    "Apples",
    "Coffee",
    "Rice",
    "Soap",
    "Pens",
    "Cheese",
    "Tea",
    "Candles",
    "Socks",
    "Juice",
)
_SIZES = ("small", "medium", "large", "family", "travel", "gift")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cashier:
    """A cashier who may log in at every till."""

    cashier_id: str
    name: str
    pin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """A folder of master files ready for import. `pairs` are (sku, sku, sum of their prices)."""

    folder: Path
    products: int
    cashiers: tuple[Cashier, ...]
    pairs: tuple[tuple[str, str, int], ...]
    prices: dict[str, int]
    own: tuple[str, ...]


def build_catalogue(
    folder: Path, *, plan: CataloguePlan, cashiers: int, seed: int, masters: Path | None = None
) -> Catalogue:
    """Write the master files to `folder`; raises MastersInvalid for what the user's own files have wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    own = read_own(masters)
    random_of = {name: random.Random(f"{seed}:{name}") for name in COLUMNS}  # noqa: S311 - reproducible on purpose
    tax = _rates(own) or TAX_RATES
    vendors = own.get("vendors.csv") or _vendors(own, plan)
    products = own.get("products.csv") or _products(plan, vendors, tax, random_of["products.csv"])
    prices = own.get("prices.csv") or _prices(products, random_of["prices.csv"])
    stock = own.get("stock.csv") or [(row[0], str(plan.stock_pieces * 1000)) for row in products]
    people = _cashiers(cashiers, random_of["cashiers.csv"])
    check_references(masters, own, tax=tax, vendors=vendors, products=products, prices=prices, stock=stock)
    files: dict[str, Iterable[Sequence[str | int]]] = {
        "tax_rates.csv": tax,
        "vendors.csv": vendors,
        "products.csv": products,
        "prices.csv": prices,
        "stock.csv": stock,
        "cashiers.csv": [(who.cashier_id, who.name, who.pin) for who in people],
    }
    for name, rows in files.items():
        _write(folder / name, COLUMNS[name], rows)
    now = {row[0]: int(row[2]) for row in sorted(prices, key=lambda row: int(row[1]))}
    return Catalogue(
        folder=folder,
        products=len(products),
        cashiers=people,
        pairs=_pairs(now, plan.pairs, seed),
        prices=now,
        own=tuple(own),
    )


def _products(plan: CataloguePlan, vendors: Rows, tax: Sequence[tuple[str, int]], rng: random.Random) -> Rows:
    codes = [code for code, _ in tax]
    weights = [6, 3, 1][: len(codes)] + [1] * max(0, len(codes) - 3)
    taxes = rng.choices(codes, weights, k=plan.products)
    suppliers = rng.choices([row[0] for row in vendors], k=plan.products)
    return [
        (
            f"P{number:06d}",
            f"{_KINDS[number % len(_KINDS)]} {_SIZES[number // len(_KINDS) % len(_SIZES)]} {number}",
            taxes[number - 1],
            suppliers[number - 1],
        )
        for number in range(1, plan.products + 1)
    ]


def _prices(products: Rows, rng: random.Random) -> Rows:
    """Return one opening price for each product, 0.19 to 99.99, cheap ones more often."""
    return [(row[0], str(OPENING_MS), str(19 + int(9980 * rng.random() ** 3))) for row in products]


def _vendors(own: dict[str, Rows], plan: CataloguePlan) -> Rows:
    if "products.csv" in own:
        return [(name, f"Vendor {name}") for name in sorted({row[3] for row in own["products.csv"]})]
    return [(f"V{number:04d}", f"Vendor {number}") for number in range(1, plan.vendors + 1)]


def _cashiers(count: int, rng: random.Random) -> tuple[Cashier, ...]:
    return tuple(
        Cashier(cashier_id=f"C{number:03d}", name=f"Cashier {number}", pin=f"{rng.randrange(10**6):06d}")
        for number in range(1, count + 1)
    )


def _pairs(prices: dict[str, int], wanted: int, seed: int) -> tuple[tuple[str, str, int], ...]:
    """Draw disjoint pairs whose sum leaves room to move both ways."""
    dear = sorted(sku for sku, amount in prices.items() if amount >= 100)
    chosen = random.Random(f"{seed}:pairs").sample(dear, min(wanted * 2, len(dear) // 2 * 2))  # noqa: S311
    both = zip(chosen[::2], chosen[1::2], strict=True)
    return tuple((a, b, prices[a] + prices[b]) for a, b in both)


def _rates(own: dict[str, Rows]) -> tuple[tuple[str, int], ...]:
    return tuple((code, int(rate)) for code, rate in own.get("tax_rates.csv", ()))


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str | int]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
