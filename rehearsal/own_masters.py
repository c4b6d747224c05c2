"""The user's own masters: read whole and checked before anything is staged.

Every error names the file, the line, the column and the value.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

Rows = list[tuple[str, ...]]

COLUMNS: dict[str, tuple[str, ...]] = {
    "products.csv": ("sku", "name", "tax_code", "vendor_id"),
    "prices.csv": ("sku", "valid_from_ms", "amount"),
    "vendors.csv": ("vendor_id", "name"),
    "tax_rates.csv": ("tax_code", "rate_bp"),
    "stock.csv": ("sku", "qty"),
    "cashiers.csv": ("cashier_id", "name", "pin"),
}
OWN = ("products.csv", "prices.csv", "vendors.csv", "tax_rates.csv", "stock.csv")
AMOUNT_MAX = 10**9


class MastersInvalid(Exception):
    """The user's masters can't be used; the message names file, line, column and value."""


def read_own(masters: Path | None) -> dict[str, Rows]:
    """Return file → rows of what the user gave; raises MastersInvalid."""
    if masters is None:
        return {}
    if not masters.is_dir():
        raise MastersInvalid(f"{masters}: not a folder")
    own = {name: list(_read(masters / name, COLUMNS[name])) for name in OWN if (masters / name).exists()}
    if not own:
        raise MastersInvalid(f"{masters}: none of {', '.join(OWN)} is there")
    if "products.csv" not in own and ("prices.csv" in own or "stock.csv" in own):
        raise MastersInvalid(f"{masters}: prices.csv and stock.csv need their products.csv")
    return own


def _read(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, ...]]:
    numbers = {"amount": AMOUNT_MAX, "valid_from_ms": 10**14, "rate_bp": 10_000, "qty": 10**12}
    keys = columns[:2] if path.name == "prices.csv" else columns[:1]
    seen: dict[tuple[str, ...], int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise MastersInvalid(
                    f"{path}, line 1: column {missing[0]} is missing; needed: {', '.join(columns)}"
                )
            for row in reader:
                values = tuple((row[name] or "").strip() for name in columns)
                for name, value in zip(columns, values, strict=True):
                    _check_value(path, reader.line_num, name, value, numbers.get(name))
                key = tuple((row[name] or "").strip() for name in keys)
                if key in seen:
                    again = f"{' '.join(key)!r} is there twice, first in line {seen[key]}"
                    raise MastersInvalid(f"{path}, line {reader.line_num}: {keys[0]}: {again}")
                seen[key] = reader.line_num
                yield values
    except (UnicodeDecodeError, csv.Error) as error:
        raise MastersInvalid(f"{path}: not a CSV file in UTF-8: {error}") from error
    if not seen:
        raise MastersInvalid(f"{path}: has no rows")


def _check_value(path: Path, line: int, name: str, value: str, highest: int | None) -> None:
    if not value:
        raise MastersInvalid(f"{path}, line {line}: {name} is empty")
    if highest is None:
        return
    if not value.removeprefix("-").isascii() or not value.removeprefix("-").isdigit():
        raise MastersInvalid(f"{path}, line {line}: {name}: {value!r} is not a whole number")
    if not (0 if name != "qty" else -highest) <= int(value) <= highest:
        raise MastersInvalid(f"{path}, line {line}: {name}: {value} is out of range; allowed: 0 to {highest}")


def check_references(
    masters: Path | None,
    own: dict[str, Rows],
    *,
    tax: Sequence[tuple[str, int]],
    vendors: Rows,
    products: Rows,
    prices: Rows,
    stock: Rows,
) -> None:
    """Check that the user's files fit each other and what was generated."""
    codes, vendor_ids, skus = {code for code, _ in tax}, {row[0] for row in vendors}, {row[0] for row in products}
    references = (
        ("products.csv", products, 2, "tax_code", codes, "tax_rates.csv"),
        ("products.csv", products, 3, "vendor_id", vendor_ids, "vendors.csv"),
        ("prices.csv", prices, 0, "sku", skus, "products.csv"),
        ("stock.csv", stock, 0, "sku", skus, "products.csv"),
    )
    for name, rows, column, title, known, where in references:
        if name not in own:
            continue
        for index, row in enumerate(rows):
            if row[column] not in known:
                assert masters is not None
                some = ", ".join(sorted(known)[:3])
                raise MastersInvalid(
                    f"{masters / name}, row {index + 1} (line {index + 2} if no cell spans lines): "
                    f"{title}: {row[column]!r} is not in {where} ({some} ...)"
                )
