"""Columns that both schemas share: the master tables and a receipt's typed rows."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Text

from syncref.domain.masters import MasterTable

_TYPES: dict[str, type[Text] | type[BigInteger]] = {"text": Text, "int": BigInteger}


def master_columns(table: MasterTable) -> list[Column[Any]]:
    """Return key, value and version columns of a master table, in travelling order."""
    keys: list[Column[Any]] = [
        Column(name, _TYPES[kind], primary_key=True, autoincrement=False) for name, kind in table.key
    ]
    values: list[Column[Any]] = [Column(name, _TYPES[kind]) for name, kind in table.values]
    return [*keys, *values, Column("version", BigInteger, nullable=False)]


def receipt_columns() -> list[Column[Any]]:
    """Return the typed columns of a receipt that follow from its payload."""
    return [
        Column("receipt_no", Text, nullable=False),
        Column("op_id", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("business_date", Text, nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("cashier", Text, nullable=False),
        Column("gross", BigInteger, nullable=False),
        Column("tax", BigInteger, nullable=False),
        Column("ref", Text),
    ]


def line_columns() -> list[Column[Any]]:
    """Return the typed columns of a receipt line."""
    names = ("qty", "unit_price", "price_version", "tax_rate_bp", "discount", "tax", "amount")
    return [
        Column("sku", Text, nullable=False),
        *(Column(name, BigInteger, nullable=False) for name in names),
    ]


def z_columns() -> list[Column[Any]]:
    """Return the typed columns of a Z report; by_tender and by_rate are JSON arrays of arrays."""
    names = ("sales", "refunds", "voids", "gross", "tax", "counted_cash", "at_ms")
    counts: list[Column[Any]] = [Column(name, BigInteger, nullable=False) for name in names]
    return [
        Column("business_date", Text, nullable=False),
        Column("op_id", Text, nullable=False),
        Column("cashier", Text, nullable=False),
        *counts,
        Column("by_tender", Text, nullable=False),
        Column("by_rate", Text, nullable=False),
        Column("first_receipt", Text),
        Column("last_receipt", Text),
    ]
