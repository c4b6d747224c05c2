"""The back office's HTTP bodies. Every document carries the op id that makes it safe to send again."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from syncref.domain.masters import PRICE_LIST
from syncref.wire import PRINTABLE

DOCUMENT_ROWS_MAX = 1000
MONEY_MAX = 10**12
QTY_MAX = 10**12
TIME_MAX = 1 << 52

OpId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$", min_length=32, max_length=32)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PRINTABLE)]
OptionalKey = Annotated[str, msgspec.Meta(max_length=64, pattern=PRINTABLE)]
ListName = Annotated[str, msgspec.Meta(min_length=1, max_length=16, pattern=PRINTABLE)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=PRINTABLE)]
Pin = Annotated[str, msgspec.Meta(min_length=4, max_length=64)]
Money = Annotated[int, msgspec.Meta(ge=0, le=MONEY_MAX)]
Quantity = Annotated[int, msgspec.Meta(ge=1, le=QTY_MAX)]
Counted = Annotated[int, msgspec.Meta(ge=0, le=QTY_MAX)]
RateBp = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Instant = Annotated[int, msgspec.Meta(ge=0, le=TIME_MAX)]


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request's body: what is not named is refused."""


class ProductRow(_Body, frozen=True, kw_only=True):
    """A product. `name` and `tax_code` may be left out only with `deleted`."""

    sku: Key
    name: Text | None = None
    tax_code: Key | None = None
    vendor_id: OptionalKey = ""
    active: bool | Literal[0, 1] = True
    deleted: bool = False


class PriceRow(_Body, frozen=True, kw_only=True):
    """A price from an instant on (epoch ms), in minor units per selling unit; no amount with `deleted`."""

    sku: Key
    valid_from_ms: Instant
    amount: Money | None = None
    list: ListName = PRICE_LIST
    deleted: bool = False


class TaxRateRow(_Body, frozen=True, kw_only=True):
    """A tax rate in basis points."""

    tax_code: Key
    rate_bp: RateBp


class VendorRow(_Body, frozen=True, kw_only=True):
    """A vendor. `name` may be left out only with `deleted`."""

    vendor_id: Key
    name: Text | None = None
    deleted: bool = False


class GoodsLine(_Body, frozen=True, kw_only=True):
    """Goods moved, in thousandths of the selling unit."""

    sku: Key
    qty: Quantity


class CountLine(_Body, frozen=True, kw_only=True):
    """What was counted, in thousandths of the selling unit."""

    sku: Key
    counted: Counted


class CashierRow(_Body, frozen=True, kw_only=True):
    """A cashier; a PIN that is left out stays as it is."""

    cashier_id: Key
    name: Text
    pin: Pin | None = None
    active: bool | Literal[0, 1] = True


Products = Annotated[tuple[ProductRow, ...], msgspec.Meta(min_length=1, max_length=DOCUMENT_ROWS_MAX)]
Prices = Annotated[tuple[PriceRow, ...], msgspec.Meta(min_length=1, max_length=DOCUMENT_ROWS_MAX)]
TaxRates = Annotated[tuple[TaxRateRow, ...], msgspec.Meta(min_length=1, max_length=DOCUMENT_ROWS_MAX)]
Vendors = Annotated[tuple[VendorRow, ...], msgspec.Meta(min_length=1, max_length=DOCUMENT_ROWS_MAX)]
GoodsLines = Annotated[tuple[GoodsLine, ...], msgspec.Meta(min_length=1, max_length=DOCUMENT_ROWS_MAX)]
CountLines = Annotated[tuple[CountLine, ...], msgspec.Meta(min_length=1, max_length=DOCUMENT_ROWS_MAX)]
Cashiers = Annotated[tuple[CashierRow, ...], msgspec.Meta(min_length=1, max_length=100)]


class ProductsDocument(_Body, frozen=True, kw_only=True):
    """Create, change or delete products."""

    op_id: OpId
    products: Products


class PricesDocument(_Body, frozen=True, kw_only=True):
    """Create, change or delete prices; urgent ones travel ahead of everything else."""

    op_id: OpId
    prices: Prices
    urgent: bool = False


class TaxRatesDocument(_Body, frozen=True, kw_only=True):
    """Create or change tax rates."""

    op_id: OpId
    tax_rates: TaxRates


class VendorsDocument(_Body, frozen=True, kw_only=True):
    """Create, change or delete vendors."""

    op_id: OpId
    vendors: Vendors


class GoodsDocument(_Body, frozen=True, kw_only=True):
    """A goods receipt or a vendor return; its number is used once."""

    op_id: OpId
    doc_no: Key
    vendor_id: Key
    lines: GoodsLines


class CountDocument(_Body, frozen=True, kw_only=True):
    """A stock count; its number is used once."""

    op_id: OpId
    doc_no: Key
    lines: CountLines


class CashiersDocument(_Body, frozen=True, kw_only=True):
    """Create or change cashiers."""

    op_id: OpId
    cashiers: Cashiers


class ResolveDocument(_Body, frozen=True, kw_only=True):
    """Write off an entry that was set aside or is a duplicate, or post a set-aside one after all."""

    op_id: OpId
    action: Literal["written_off", "posted"]


class RowWritten(msgspec.Struct, frozen=True, kw_only=True):
    """A row that a document wrote, and its new version."""

    table: str
    key: tuple[str | int | None, ...]
    version: int


class DocumentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """ok: committed, on the standby too where there is one; at_risk: not on the standby yet."""

    op_id: str
    status: Literal["ok", "at_risk"]
    rows: tuple[RowWritten, ...]
    at_ms: int


class RowAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A master row as the server has it."""

    table: str
    key: tuple[str | int | None, ...]
    values: dict[str, str | int | None]
    version: int
    deleted: bool


class AsideAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that is not counted: why, and how it was resolved (None: not yet)."""

    till: str
    incarnation: str
    seq: int
    reason: str
    resolution: str | None
