"""Import of masters from CSV, all or nothing, by COPY. Importing the same files again changes nothing.

A bad row is an error that names file, line, column and value.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from sqlalchemy import Connection, Engine, bindparam, text

from syncref.auth import hash_secret, verify_secret
from syncref.domain.masters import MASTER_BY_NAME, PRICE_LIST, MasterTable, Row
from syncref.errors import RuleBroken
from syncref.store.server_copy import copy_rows
from syncref.store.server_masters import all_rows, insert_rows, lock_rows, put_rows
from syncref.store.server_open import transaction
from syncref.store.server_schema import opening_stock
from syncref.store.server_stock import adjust_stock
from syncref.store.server_term import writable_term

INT_MAX = (1 << 63) - 1
MONEY_MAX = 10**12
TEXT_MAX = 200
_INTEGER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A CSV column: how its text is checked and turned into a value, and what it is when left out."""

    name: str
    parse: Callable[[str], str | int]
    default: str | None = None


def _text(*, chars_max: int = TEXT_MAX, empty: bool = False) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not value and not empty:
            raise ValueError("must not be empty")
        if len(value) > chars_max:
            raise ValueError(f"longer than {chars_max} characters")
        if not value.isprintable():
            raise ValueError("has characters that can't be printed")
        return value

    return parse


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not _INTEGER.fullmatch(value) or not low <= int(value) <= high:
            raise ValueError(f"expected an integer from {low} to {high}")
        return int(value)

    return parse


_SKU = Column(name="sku", parse=_text(chars_max=64))
TABLES: dict[str, tuple[str, tuple[Column, ...]]] = {
    "tax_rate": ("tax_rates.csv", (
        Column(name="tax_code", parse=_text(chars_max=64)), Column(name="rate_bp", parse=_integer(0, 100_000)),
    )),
    "vendor": ("vendors.csv", (
        Column(name="vendor_id", parse=_text(chars_max=64)), Column(name="name", parse=_text()),
    )),
    "product": ("products.csv", (
        _SKU, Column(name="name", parse=_text()), Column(name="tax_code", parse=_text(chars_max=64)),
        Column(name="vendor_id", parse=_text(chars_max=64, empty=True), default=""),
        Column(name="active", parse=_integer(0, 1), default="1"),
    )),
    "price": ("prices.csv", (
        _SKU, Column(name="list", parse=_text(chars_max=16), default=PRICE_LIST),
        Column(name="valid_from_ms", parse=_integer(0, INT_MAX)),
        Column(name="amount", parse=_integer(0, MONEY_MAX)),
    )),
    "cashier": ("cashiers.csv", (
        Column(name="cashier_id", parse=_text(chars_max=64)), Column(name="name", parse=_text()),
        Column(name="pin", parse=_text(chars_max=64)),
        Column(name="active", parse=_integer(0, 1), default="1"),
    )),
    "stock": ("stock.csv", (_SKU, Column(name="qty", parse=_integer(-INT_MAX >> 8, INT_MAX >> 8)))),
}  # fmt: skip
_REFERENCES = {
    "product": (("tax_code", "tax_rate", False), ("vendor_id", "vendor", True)),
    "price": (("sku", "product", False),),
    "stock": (("sku", "product", False),),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """The rows of one CSV file, with the line that each came from."""

    file: str
    rows: list[tuple[int, tuple[str | int, ...]]]


def import_folder(engine: Engine, folder: Path, *, at_ms: int) -> dict[str, int]:
    """Import whatever CSV files the folder has; return the number of rows new or changed per table.

    Raises RuleBroken naming file, line, column and value; then nothing was imported.
    """
    parsed: dict[str, Parsed] = {}
    for table, (name, _) in TABLES.items():
        path = folder / name
        if path.exists():
            try:
                with path.open(newline="", encoding="utf-8-sig") as file:
                    parsed[table] = parse_csv(table, file, str(path))
            except (OSError, UnicodeDecodeError) as error:
                raise RuleBroken(f"{path}: can't be read: {error}") from error
    if not parsed:
        names = ", ".join(name for name, _ in TABLES.values())
        raise RuleBroken(f"{folder}: holds none of {names}")
    with transaction(engine) as connection:
        writable_term(connection)
        return {table: write_parsed(connection, table, rows, at_ms=at_ms) for table, rows in parsed.items()}


def parse_csv(table: str, file: TextIO | Iterable[str], name: str) -> Parsed:
    """Return a table's rows of CSV text. Raises RuleBroken naming file, line, column and value."""
    columns = TABLES[table][1]
    reader = csv.reader(file, strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        places = _places(columns, header, name)
        rows = [(reader.line_num, _row(columns, places, cells, name, reader.line_num, len(header)))
                for cells in reader if cells]  # fmt: skip
    except csv.Error as error:
        raise RuleBroken(f"{name}: line {reader.line_num}: {error}") from error
    return Parsed(file=name, rows=rows)


def _places(columns: tuple[Column, ...], header: list[str], name: str) -> list[int | None]:
    known = [column.name for column in columns]
    for cell in header:
        if cell not in known:
            raise RuleBroken(f"{name}: line 1: unknown column {cell!r}; allowed: {', '.join(known)}")
    if len(set(header)) != len(header):
        raise RuleBroken(f"{name}: line 1: a column is named twice")
    for column in columns:
        if column.name not in header and column.default is None:
            raise RuleBroken(f"{name}: line 1: column {column.name!r} is missing")
    return [header.index(column.name) if column.name in header else None for column in columns]


def _row(
    columns: tuple[Column, ...], places: list[int | None], cells: list[str], *where: str | int
) -> tuple[str | int, ...]:
    name, line, width = where
    if len(cells) != width:
        raise RuleBroken(f"{name}: line {line}: {len(cells)} columns, expected {width}")
    values: list[str | int] = []
    for column, place in zip(columns, places, strict=True):
        cell = column.default if place is None else cells[place]
        assert cell is not None
        try:
            values.append(column.parse(cell))
        except ValueError as error:
            shown = "(not shown)" if column.name == "pin" else repr(cell)
            raise RuleBroken(f"{name}: line {line}: {column.name} = {shown}: {error}") from error
    return tuple(values)


def write_parsed(connection: Connection, table: str, parsed: Parsed, *, at_ms: int) -> int:
    """Write parsed rows in the caller's transaction; return how many were new or changed."""
    spec = MASTER_BY_NAME[table]
    _check_references(connection, table, parsed)
    rows: dict[Row, tuple[int, Row]] = {}
    for line, values in parsed.rows:
        key, rest = values[: len(spec.key)], values[len(spec.key) :]
        if key in rows:
            raise RuleBroken(f"{parsed.file}: line {line}: {_shown(spec, key)} is there twice")
        rows[key] = (line, rest)
    wanted = {key: rest for key, (_, rest) in rows.items()}
    connection.execute(text(f'LOCK TABLE "{table}" IN SHARE ROW EXCLUSIVE MODE'))
    if table == "stock":
        return _import_stock(connection, wanted, at_ms=at_ms)
    stored = all_rows(connection, spec)
    if table == "cashier":
        wanted = {key: _hashed(rest, stored.get(key)) for key, rest in wanted.items()}
    fresh = {key: rest for key, rest in wanted.items() if key not in stored}
    changed = {key: rest for key, rest in wanted.items() if key in stored and stored[key] != rest}
    insert_rows(connection, spec, fresh, at_ms=at_ms)
    if changed:
        locked = lock_rows(connection, spec, changed)
        put_rows(connection, spec, locked, changed, at_ms=at_ms)
    return len(fresh) + len(changed)


def _hashed(values: Row, stored: Row | None) -> Row:
    """Return a cashier's values with the PIN hashed; a PIN that is unchanged keeps its hash."""
    name, pin, active = values
    old = stored[1] if stored else None
    if isinstance(old, str) and verify_secret(old, str(pin)):
        return name, old, active
    return name, hash_secret(str(pin)), active


def _import_stock(connection: Connection, wanted: Mapping[Row, Row], *, at_ms: int) -> int:
    """Set opening stock; what was sold or received since stays counted on top."""
    before = {row.sku: row.qty for row in connection.execute(opening_stock.select())}
    deltas: dict[Row, int] = {}
    rows: list[dict[str, str | int]] = []
    for key, (qty,) in wanted.items():
        assert isinstance(qty, int)
        sku = str(key[0])
        if before.get(sku) != qty:
            deltas[key] = qty - before.get(sku, 0)
            rows.append({"sku": sku, "qty": qty})
    if not rows:
        return 0
    spec = MASTER_BY_NAME["stock"]
    stored = all_rows(connection, spec)
    fresh: dict[Row, Row] = {key: (delta,) for key, delta in deltas.items() if key not in stored}
    insert_rows(connection, spec, fresh, at_ms=at_ms)
    adjust_stock(connection, {key: delta for key, delta in deltas.items() if key in stored}, at_ms=at_ms)
    new = [(row["sku"], row["qty"]) for row in rows if row["sku"] not in before]
    copy_rows(connection, "opening_stock", ("sku", "qty"), new)
    again = [row for row in rows if row["sku"] in before]
    if again:
        statement = opening_stock.update().where(opening_stock.c.sku == bindparam("of"))
        connection.execute(
            statement.values(qty=bindparam("to")), [{"of": r["sku"], "to": r["qty"]} for r in again]
        )
    return len(rows)


def _check_references(connection: Connection, table: str, parsed: Parsed) -> None:
    """Refuse rows that name a tax code, vendor or product that neither the database nor the import has."""
    names = [column.name for column in TABLES[table][1]]
    for column, other, optional in _REFERENCES.get(table, ()):
        place = names.index(column)
        stored = all_rows(connection, MASTER_BY_NAME[other])
        known = {key[0] for key, row in stored.items() if row is not None}
        for line, values in parsed.rows:
            value = values[place]
            if value not in known and not (optional and value == ""):
                raise RuleBroken(f"{parsed.file}: line {line}: {column} = {value!r}: there is no such {other}")


def _shown(spec: MasterTable, key: Row) -> str:
    return ", ".join(f"{name} {part!r}" for name, part in zip(spec.key_names, key, strict=True))


def lines_of(body: bytes) -> Iterator[str]:
    """Yield the lines of an uploaded CSV. Raises RuleBroken when it is not UTF-8."""
    try:
        yield from body.decode("utf-8-sig").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise RuleBroken(f"the CSV is not UTF-8: byte {error.start}") from error
