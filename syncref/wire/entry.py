"""Journal entries. The encoded bytes are the truth: they are hashed, kept and compared as they are.

Each payload is MessagePack: an array whose first item is the entry's tag. Field order is the format;
docs/protocol.md lists the positions, and readers that must not import this module go by that.
`gc=False`: these hold no cycles, and collecting garbage among thousands of them took a third of an ingest.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from syncref.wire import UNREADABLE

ENTRY_BYTES_MAX = 64 * 1024
LINES_MAX = 200
PAYMENTS_MAX = 20
QTY_MAX = 10**9
AMOUNT_MAX = 10**12
SKU_CHARS_MAX = 64

ReceiptKind = Literal["sale", "refund", "void"]


class Line(msgspec.Struct, array_like=True, frozen=True, kw_only=True, gc=False):
    """One line. qty in thousandths, negative in refunds and voids, as are discount, tax and amount."""

    sku: str
    qty: int
    unit_price: int
    price_version: int
    tax_rate_bp: int
    discount: int
    tax: int
    amount: int


class Payment(msgspec.Struct, array_like=True, frozen=True, kw_only=True, gc=False):
    """One tender of a receipt, in minor units; negative when money is given back."""

    tender: str
    amount: int


class Receipt(msgspec.Struct, array_like=True, frozen=True, kw_only=True, tag="r", gc=False):
    """A sale, refund or void. `ref` is the receipt number that a refund or void refers to.

    `number` is None but in a journal that continues another: there it is the number that was printed when
    the receipt was first journaled, and `counter` is the one of then.
    """

    op_id: bytes
    kind: ReceiptKind
    counter: int
    business_date: str
    at_ms: int
    cashier: str
    lines: tuple[Line, ...]
    payments: tuple[Payment, ...]
    gross: int
    tax: int
    ref: str | None = None
    number: str | None = None


class DayOpened(msgspec.Struct, array_like=True, frozen=True, kw_only=True, tag="o"):
    """The only entry that moves the business date forward. `float_cash` is the cash in the drawer."""

    op_id: bytes
    business_date: str
    at_ms: int
    cashier: str
    float_cash: int


class RateTotal(msgspec.Struct, array_like=True, frozen=True, kw_only=True, gc=False):
    """Gross and contained tax of all lines of one tax rate."""

    rate_bp: int
    gross: int
    tax: int


class DayClosed(msgspec.Struct, array_like=True, frozen=True, kw_only=True, tag="z"):
    """The Z report of a business date, journaled in the transaction that closes the day.

    Counts and totals cover the receipts of that date; `chain_head` is the hash of the entry before.
    """

    op_id: bytes
    business_date: str
    at_ms: int
    cashier: str
    sales: int
    refunds: int
    voids: int
    gross: int
    tax: int
    by_tender: tuple[Payment, ...]
    by_rate: tuple[RateTotal, ...]
    counted_cash: int
    first_receipt: str | None
    last_receipt: str | None
    chain_head: bytes


class Continued(msgspec.Struct, array_like=True, frozen=True, kw_only=True, tag="c"):
    """The first entry of a journal that continues another of this till, and closes it.

    Up to `seq`, with chain hash `hash`, till and server agree on the old journal; what the till had after
    that follows here under its original op ids.
    """

    op_id: bytes
    incarnation: bytes
    seq: int
    hash: bytes
    at_ms: int


Entry = Receipt | DayOpened | DayClosed | Continued

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def encode_entry(entry: Entry) -> bytes:
    """Return the payload bytes of an entry. The same entry gives the same bytes."""
    return _encoder.encode(entry)


def decode_entry(payload: bytes) -> Entry:
    """Return the entry in a payload.

    Raises msgspec.DecodeError (or its subclass ValidationError) when the bytes are not an entry.
    """
    try:
        entry: Entry = _decoder.decode(payload)
    except msgspec.DecodeError:
        raise
    except UNREADABLE as error:
        raise msgspec.DecodeError(str(error)) from error
    return entry
