"""What a sale sees of the masters: live rows, and over them an applied run that is still being merged.

Keeps: all look-ups of one transaction see one state of the masters; a price holds from its instant on;
between a staged and a live row the higher version wins.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, func, select

from syncref.domain.masters import MASTER_BY_NAME, PRICE_LIST, Value
from syncref.store.till_schema import line, masters, stages

_product, _price, _tax_rate, _cashier, _stock = (
    masters[name] for name in ("product", "price", "tax_rate", "cashier", "stock")
)
_ITEM = (
    select(
        _product.c.name,
        _product.c.active,
        _tax_rate.c.rate_bp,
        _price.c.amount,
        _price.c.version,
        _price.c.valid_from_ms,
    )
    .select_from(
        _product.outerjoin(_tax_rate, _tax_rate.c.tax_code == _product.c.tax_code).outerjoin(
            _price,
            and_(
                _price.c.sku == _product.c.sku,
                _price.c.list == PRICE_LIST,
                _price.c.valid_from_ms <= bindparam("at_ms"),
            ),
        )
    )
    .where(_product.c.sku == bindparam("sku"))
    .order_by(_price.c.valid_from_ms.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A product at an instant: price in minor units, rate in basis points, None where the masters have none."""

    sku: str
    name: str
    active: bool
    tax_rate_bp: int | None
    unit_price: int | None
    price_version: int | None
    valid_from_ms: int | None

    @property
    def sold(self) -> bool:
        """Whether it may be sold."""
        return self.active and self.tax_rate_bp is not None and self.unit_price is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class CashierRow:
    """A cashier's credential: an argon2id hash."""

    cashier_id: str
    name: str
    secret_hash: str
    active: bool


def items(connection: Connection, skus: Iterable[str], *, at_ms: int, overlay: bool) -> dict[str, Item]:
    """Return the known ones of these products as they are at an instant."""
    look_up = _overlaid if overlay else _live
    found = ((sku, look_up(connection, sku, at_ms)) for sku in dict.fromkeys(skus))
    return {sku: item for sku, item in found if item is not None}


def _live(connection: Connection, sku: str, at_ms: int) -> Item | None:
    row = connection.execute(_ITEM, {"sku": sku, "at_ms": at_ms}).one_or_none()
    if row is None:
        return None
    return Item(
        sku=sku,
        name=row.name,
        active=bool(row.active),
        tax_rate_bp=row.rate_bp,
        unit_price=row.amount,
        price_version=row.version,
        valid_from_ms=row.valid_from_ms,
    )


def _overlaid(connection: Connection, sku: str, at_ms: int) -> Item | None:
    product = _one(connection, "product", (sku,))
    if product is None:
        return None
    rate = _one(connection, "tax_rate", (product.tax_code,))
    prices = [
        price
        for price in _effective(connection, "price", sku)
        if price.list == PRICE_LIST and price.valid_from_ms <= at_ms
    ]
    price = max(prices, key=lambda row: row.valid_from_ms, default=None)
    return Item(
        sku=sku,
        name=product.name,
        active=bool(product.active),
        tax_rate_bp=None if rate is None else rate.rate_bp,
        unit_price=None if price is None else price.amount,
        price_version=None if price is None else price.version,
        valid_from_ms=None if price is None else price.valid_from_ms,
    )


def cashier(connection: Connection, cashier_id: str, *, overlay: bool) -> CashierRow | None:
    """Return a cashier's credential."""
    row = _one(connection, "cashier", (cashier_id,), overlay=overlay)
    if row is None:
        return None
    return CashierRow(
        cashier_id=row.cashier_id, name=row.name, secret_hash=row.secret_hash, active=bool(row.active)
    )


def stock_of(
    connection: Connection, sku: str, *, incarnation: bytes, stock_seq: int, overlay: bool
) -> tuple[int, int] | None:
    """Return (stock row, stock now) in thousandths: the row less what this till journaled after stock_seq."""
    row = _one(connection, "stock", (sku,), overlay=overlay)
    if row is None:
        return None
    own = connection.execute(
        select(func.coalesce(func.sum(line.c.qty), 0)).where(
            line.c.incarnation == incarnation, line.c.seq > stock_seq, line.c.sku == sku
        )
    ).scalar_one()
    return row.qty, row.qty - int(own)


def _one(connection: Connection, table: str, key: tuple[Value, ...], *, overlay: bool = True) -> Row[Any] | None:
    names = MASTER_BY_NAME[table].key_names
    live = masters[table]
    if not overlay:
        same = (live.c[name] == value for name, value in zip(names, key, strict=True))
        return connection.execute(select(live).where(*same)).one_or_none()
    rows = _effective(connection, table, key[0])
    return next((row for row in rows if tuple(row[: len(names)]) == key), None)


def _effective(connection: Connection, table: str, first: Value) -> Collection[Row[Any]]:
    """Return the rows whose first key column has a value, as they are once the run has been merged."""
    name, *others = MASTER_BY_NAME[table].key_names
    width = 1 + len(others)
    live, staged = masters[table], stages[table]
    rows: dict[tuple[Value, ...], Row[Any]] = {}
    for row in connection.execute(select(live).where(live.c[name] == first)):
        rows[tuple(row[:width])] = row
    for row in connection.execute(select(staged).where(staged.c[name] == first)):
        key = tuple(row[:width])
        present = rows.get(key)
        if present is not None and not row.forced and row.version < present.version:
            continue
        if row.deleted:
            rows.pop(key, None)
        else:
            rows[key] = row
    return rows.values()
