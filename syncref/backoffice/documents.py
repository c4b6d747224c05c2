"""What each back-office document does: checks its references and writes its rows, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection

from syncref.auth import hash_secret
from syncref.domain.masters import MASTER_BY_NAME, Row
from syncref.errors import RequestInvalid, RuleBroken
from syncref.store.server_documents import count_stock, demand, move_goods, unique, write
from syncref.store.server_masters import Written, lock_rows, put_rows
from syncref.wire import backoffice_api as api

Work = Callable[[Connection], list[Written]]
T = TypeVar("T")


def given(value: T | None, name: str, key: str) -> T:
    """Return a value that only a deletion may leave out. Raises RequestInvalid."""
    if value is None:
        raise RequestInvalid(f"{name} of {key!r} is missing", where=name)
    return value


def products(document: api.ProductsDocument, at_ms: int) -> Work:
    """Create, change or delete products, whose tax rate and vendor must exist."""

    def work(connection: Connection) -> list[Written]:
        rows: list[tuple[Row, Row | None]] = []
        taxes: list[str] = []
        for row in document.products:
            if row.deleted:
                rows.append(((row.sku,), None))
                continue
            tax_code = given(row.tax_code, "tax_code", row.sku)
            taxes.append(tax_code)
            name = given(row.name, "name", row.sku)
            rows.append(((row.sku,), (name, tax_code, row.vendor_id, int(row.active))))
        demand(connection, "tax_rate", taxes)
        demand(connection, "vendor", (r.vendor_id for r in document.products if r.vendor_id and not r.deleted))
        return write(connection, "product", rows, at_ms=at_ms)

    return work


def prices(document: api.PricesDocument, at_ms: int) -> Work:
    """Create, change or delete prices of products that exist."""

    def work(connection: Connection) -> list[Written]:
        demand(connection, "product", (row.sku for row in document.prices if not row.deleted))
        rows: list[tuple[Row, Row | None]] = [
            (
                (row.sku, row.list, row.valid_from_ms),
                None if row.deleted else (given(row.amount, "amount", row.sku),),
            )
            for row in document.prices
        ]
        return write(connection, "price", rows, at_ms=at_ms, urgent=document.urgent)

    return work


def tax_rates(document: api.TaxRatesDocument, at_ms: int) -> Work:
    """Create or change tax rates."""
    rows: list[tuple[Row, Row | None]] = [((row.tax_code,), (row.rate_bp,)) for row in document.tax_rates]
    return lambda connection: write(connection, "tax_rate", rows, at_ms=at_ms)


def vendors(document: api.VendorsDocument, at_ms: int) -> Work:
    """Create, change or delete vendors."""
    rows: list[tuple[Row, Row | None]] = [
        ((row.vendor_id,), None if row.deleted else (given(row.name, "name", row.vendor_id),))
        for row in document.vendors
    ]
    return lambda connection: write(connection, "vendor", rows, at_ms=at_ms)


def goods(table: str, document: api.GoodsDocument, at_ms: int) -> Work:
    """Book a goods receipt or a vendor return, rows and stock together."""

    def work(connection: Connection) -> list[Written]:
        demand(connection, "vendor", (document.vendor_id,))
        demand(connection, "product", (line.sku for line in document.lines))
        lines: list[Row] = [(document.vendor_id, line.sku, line.qty) for line in document.lines]
        sign = 1 if table == "goods_receipt" else -1
        return move_goods(connection, table, document.doc_no, lines, sign=sign, at_ms=at_ms)

    return work


def stock_count(document: api.CountDocument, at_ms: int) -> Work:
    """Set stock to what was counted."""

    def work(connection: Connection) -> list[Written]:
        demand(connection, "product", (line.sku for line in document.lines))
        unique("stock", (((line.sku,), None) for line in document.lines))
        counted: dict[Row, int] = {(line.sku,): line.counted for line in document.lines}
        return count_stock(connection, document.doc_no, counted, at_ms=at_ms)

    return work


def cashiers(document: api.CashiersDocument, at_ms: int) -> Work:
    """Create or change cashiers; PINs are hashed before the transaction begins."""
    hashes = {row.cashier_id: hash_secret(row.pin) for row in document.cashiers if row.pin is not None}

    def work(connection: Connection) -> list[Written]:
        spec = MASTER_BY_NAME["cashier"]
        keys = unique("cashier", (((row.cashier_id,), None) for row in document.cashiers))
        locked = lock_rows(connection, spec, keys)
        wanted: dict[Row, Row | None] = {}
        for row in document.cashiers:
            old = locked[row.cashier_id,]
            secret = hashes.get(row.cashier_id, None if old.deleted else old.values[1])
            if secret is None:
                raise RuleBroken(f"cashier {row.cashier_id!r} is new and needs a pin", where="pin")
            wanted[row.cashier_id,] = (row.name, secret, int(row.active))
        return put_rows(connection, spec, locked, wanted, at_ms=at_ms)

    return work
