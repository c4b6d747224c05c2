"""The master tables as data: one description for both databases, the feed and the digest.

Every row has a `version`, raised by the server under the row's lock; a till never replaces a row by one
of a lower version. Deleted rows stay on the server as tombstones and leave the till.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec import Struct

ColumnType = Literal["text", "int"]
Value = str | int | None
Row = tuple[Value, ...]

DIGEST_MODULUS = 1 << 64


class MasterTable(Struct, frozen=True, kw_only=True):
    """One replicated table. Rows travel as key columns, then value columns, in this order."""

    name: str
    key: tuple[tuple[str, ColumnType], ...]
    values: tuple[tuple[str, ColumnType], ...]

    @property
    def key_names(self) -> tuple[str, ...]:
        """The key's column names, in order."""
        return tuple(name for name, _ in self.key)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Key and value column names, in travelling order; `version` is not among them."""
        return tuple(name for name, _ in self.key + self.values)


MASTERS: tuple[MasterTable, ...] = (
    MasterTable(name="tax_rate", key=(("tax_code", "text"),), values=(("rate_bp", "int"),)),
    MasterTable(name="vendor", key=(("vendor_id", "text"),), values=(("name", "text"),)),
    MasterTable(
        name="product",
        key=(("sku", "text"),),
        values=(("name", "text"), ("tax_code", "text"), ("vendor_id", "text"), ("active", "int")),
    ),
    MasterTable(
        name="price",
        key=(("sku", "text"), ("list", "text"), ("valid_from_ms", "int")),
        values=(("amount", "int"),),
    ),
    MasterTable(
        name="cashier",
        key=(("cashier_id", "text"),),
        values=(("name", "text"), ("secret_hash", "text"), ("active", "int")),
    ),
    MasterTable(
        name="goods_receipt",
        key=(("doc_no", "text"), ("line_no", "int")),
        values=(("vendor_id", "text"), ("sku", "text"), ("qty", "int"), ("at_ms", "int")),
    ),
    MasterTable(
        name="vendor_return",
        key=(("doc_no", "text"), ("line_no", "int")),
        values=(("vendor_id", "text"), ("sku", "text"), ("qty", "int"), ("at_ms", "int")),
    ),
    MasterTable(name="stock", key=(("sku", "text"),), values=(("qty", "int"),)),
)

MASTER_BY_NAME: dict[str, MasterTable] = {table.name: table for table in MASTERS}
PRICE_LIST = "STD"


def row_digest(table: str, row: Row, version: int) -> int:
    """Return a 64-bit digest of one live row (key and values in travelling order) at its version.

    A table's digest is the sum of its rows' digests modulo 2**64, so it does not depend on their order.
    """
    packed = msgspec.msgpack.encode((table, row, version))
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "big")


def rows_digest(table: str, rows: Iterable[tuple[Row, int]]) -> int:
    """Return the sum of the digests of many (row, version), not reduced: `row_digest` in one tight loop."""
    encode, digest, number = msgspec.msgpack.Encoder().encode, hashlib.blake2b, int.from_bytes
    return sum(
        number(digest(encode((table, row, version)), digest_size=8).digest(), "big") for row, version in rows
    )
