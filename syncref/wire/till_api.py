"""Bodies of the till's HTTP API, in JSON. Money in minor units, quantities in thousandths, times in epoch ms.

Bounds stand in the types, so that nothing oversized or mistyped gets past the reading of a request.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from syncref.wire import PRINTABLE
from syncref.wire.entry import AMOUNT_MAX, LINES_MAX, PAYMENTS_MAX, QTY_MAX, ReceiptKind

INT_MAX = 2**53
Money = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX, description="minor units")]
Qty = Annotated[int, msgspec.Meta(ge=1, le=QTY_MAX, description="thousandths of the selling unit")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=PRINTABLE)]
OpId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$", description="128-bit operation id in hex")]
Sync = Literal["synced", "stored"]


class SessionAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cashier logs in."""

    cashier_id: Name
    pin: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]


class SessionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A bearer token and how long it is good, in seconds."""

    token: str
    expires_in_s: int


class PriceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a product costs at `at_ms`, the till's own clock, which for prices never goes back."""

    sku: str
    name: str
    unit_price: int
    price_version: int
    tax_rate_bp: int
    valid_from_ms: int
    at_ms: int


class StockAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Stock as the server last said it, less what this till has sold since."""

    sku: str
    qty: int
    server_qty: int
    stock_seq: int


class LineBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of a basket."""

    sku: Name
    qty: Qty
    discount: Money = 0


class PaymentBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tender; at most one amount of a receipt may be null and takes the rest."""

    tender: Literal["cash", "card", "voucher"]
    amount: Money | None = None


Payments = Annotated[tuple[PaymentBody, ...], msgspec.Meta(min_length=1, max_length=PAYMENTS_MAX)]


class SaleAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A basket to sell."""

    op_id: OpId
    lines: Annotated[tuple[LineBody, ...], msgspec.Meta(min_length=1, max_length=LINES_MAX)]
    payments: Payments


class ReturnedLineBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line to take back, in positive numbers as on the paper."""

    sku: Name
    qty: Qty
    unit_price: Money
    price_version: Annotated[int, msgspec.Meta(ge=0, le=INT_MAX)]
    tax_rate_bp: Annotated[int, msgspec.Meta(ge=0, le=100_000)]
    discount: Money = 0


class RefundAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lines of a receipt to take back; the receipt may be another till's."""

    op_id: OpId
    receipt_no: Name
    lines: Annotated[tuple[ReturnedLineBody, ...], msgspec.Meta(min_length=1, max_length=LINES_MAX)]
    payments: Payments


class VoidAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receipt of this till and of the open day to take back whole."""

    op_id: OpId
    receipt_no: Name


class DayOpenAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A business date to open, later than the last one closed."""

    op_id: OpId
    business_date: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    float_cash: Money


class DayCloseAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The open day to close, with the cash counted in the drawer."""

    op_id: OpId
    counted_cash: Money


class LineAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A line as journaled; negative in refunds and voids."""

    line_no: int
    sku: str
    qty: int
    unit_price: int
    price_version: int
    tax_rate_bp: int
    discount: int
    tax: int
    amount: int


class PaymentAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A tender as journaled."""

    n: int
    tender: str
    amount: int


class ReceiptAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt. `sync`: committed at the live server, or only stored here; `safe`: on its standbys too."""

    op_id: str
    receipt_no: str
    kind: ReceiptKind
    business_date: str
    at_ms: int
    gross: int
    tax: int
    lines: tuple[LineAnswer, ...]
    payments: tuple[PaymentAnswer, ...]
    ref: str | None
    seq: int
    sync: Sync = "stored"
    safe: bool = False


class DayOpenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The day that was opened."""

    op_id: str
    business_date: str
    at_ms: int
    float_cash: int
    seq: int
    kind: Literal["open"] = "open"
    sync: Sync = "stored"
    safe: bool = False


class TenderTotal(msgspec.Struct, frozen=True, kw_only=True):
    """The sum of one tender."""

    tender: str
    amount: int


class RateTotalAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Gross and contained tax of one rate."""

    rate_bp: int
    gross: int
    tax: int


class ZAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The Z report of the day that was closed."""

    op_id: str
    business_date: str
    at_ms: int
    sales: int
    refunds: int
    voids: int
    gross: int
    tax: int
    by_tender: tuple[TenderTotal, ...]
    by_rate: tuple[RateTotalAnswer, ...]
    counted_cash: int
    first_receipt: str | None
    last_receipt: str | None
    seq: int
    kind: Literal["close"] = "close"
    sync: Sync = "stored"
    safe: bool = False


class DayState(msgspec.Struct, frozen=True, kw_only=True):
    """The till's business date: None and not open before the first and after a close."""

    business_date: str | None
    open: bool


class CursorState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the till has the masters."""

    term_n: int | None
    pos: int


class SyncState(msgspec.Struct, frozen=True, kw_only=True):
    """What the two halves of the sync are doing, and their last errors.

    `newer_rows`: master rows that were newer on the till than on the server that replaced them.
    """

    server: str
    uplink: str
    downlink: str
    continuous: bool
    uplink_error: str | None
    downlink_error: str | None
    threads_alive: bool
    merging: bool
    disk: str
    newer_rows: int = 0


class StatusAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The till at a glance. `mode`: online, offline, or loading until the masters are complete."""

    till: str
    incarnation: str
    mode: str
    day: DayState
    head: int
    acked: int
    safe: int
    backlog: int
    cursor: CursorState
    loaded: bool
    last_contact_ms: int | None
    masters_ms: int | None
    alarm: str | None
    sync: SyncState


class SyncAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A manual sync: upload, masters, or both."""

    what: Literal["up", "down", "all"] = "all"


class UpDone(msgspec.Struct, frozen=True, kw_only=True):
    """How far the journal is acked."""

    acked: int


class DownDone(msgspec.Struct, frozen=True, kw_only=True):
    """How far the masters are applied."""

    pos: int


class SyncAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a manual sync reached."""

    ok: bool
    up: UpDone | None = None
    down: DownDone | None = None
    error: str | None = None
