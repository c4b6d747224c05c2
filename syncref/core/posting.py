"""Posting: how journal entries become typed rows, flags and set-asides. Facts are never refused.

Set aside is only what can't be decoded, doesn't balance, is out of bounds or bears another till's number. A
sale of an unknown product, or a refund of a receipt that has not arrived, is posted with a flag; an op id that
was posted before is stored as a duplicate and not counted.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from enum import Enum
from typing import NamedTuple

from msgspec import Struct, field

from syncref.core.step import replace
from syncref.domain.identity import ID_BYTES, Key, number_prefix
from syncref.wire.entry import AMOUNT_MAX, QTY_MAX, SKU_CHARS_MAX, Continued, DayClosed, DayOpened, Entry, Receipt

SHORT_LENGTH, COUNTER_LENGTHS, COUNTER_END = 5, range(6, 10), 10**9
SHOWN = 40
REASON_CHARS_MAX = 200
SEQ_END = 1 << 62


class ReceiptRow(NamedTuple):
    """A receipt to store; `status` is posted or duplicate."""

    seq: int
    receipt_no: str
    receipt: Receipt
    status: str


class FlagRow(NamedTuple):
    """A doubt about an entry that is stored all the same."""

    seq: int
    code: str
    detail: str


class AsideRow(NamedTuple):
    """An entry whose bytes are kept but not posted, and why."""

    seq: int
    reason: str


class Close(NamedTuple):
    """A journal of this till that is continued by this one from `seq`, and takes nothing more."""

    incarnation: bytes
    seq: int
    hash: bytes


class Posting(Struct, frozen=True):
    """Typed rows of consecutive entries. `met` are receipt numbers that earlier flags waited for."""

    receipts: list[ReceiptRow] = field(default_factory=list)
    opened: list[tuple[int, DayOpened]] = field(default_factory=list)
    closed: list[tuple[int, DayClosed]] = field(default_factory=list)
    flags: list[FlagRow] = field(default_factory=list)
    asides: list[AsideRow] = field(default_factory=list)
    met: list[str] = field(default_factory=list)
    closes: list[Close] = field(default_factory=list)


def post(
    key: Key,
    first: int,
    entries: Sequence[Entry | str],
    *,
    known_ops: Container[bytes],
    receipts: Container[str],
    products: Container[str],
    awaited: Container[str],
) -> Posting:
    """Return the typed rows of entries that begin at sequence `first`; a text is a decoding failure."""
    posting = Posting()
    prefix = number_prefix(key)
    ops: set[bytes] = set()
    numbers: set[str] = set()
    for seq, entry in enumerate(entries, first):
        if type(entry) is Receipt:
            fault = unbalanced(entry) or out_of_bounds(entry) or misnumbered(key.till, entry)
            if fault is not None:
                posting.asides.append(_aside(seq, fault))
                continue
            number = entry.number or f"{prefix}{entry.counter:06d}"
            numbers.add(number)
            op_id = entry.op_id
            if op_id in ops or op_id in known_ops:
                posting.receipts.append(ReceiptRow(seq, number, entry, "duplicate"))
                posting.flags.append(FlagRow(seq, "duplicate_op", op_id.hex()))
                continue
            ops.add(op_id)
            posting.receipts.append(ReceiptRow(seq, number, entry, "posted"))
            for line in entry.lines:
                if line.sku not in products:
                    posting.flags.append(FlagRow(seq, "unknown_product", line.sku))
                    break
            if entry.ref is not None and entry.ref not in receipts and entry.ref not in numbers:
                posting.flags.append(FlagRow(seq, "unknown_receipt", entry.ref))
            if number in awaited:
                posting.met.append(number)
        else:
            _post_other(posting, seq, entry)
    return posting


def _post_other(posting: Posting, seq: int, entry: Entry | str) -> None:
    match entry:
        case str():
            posting.asides.append(_aside(seq, entry))
        case DayOpened():
            posting.opened.append((seq, entry))
        case DayClosed():
            posting.closed.append((seq, entry))
        case Continued() if not 0 <= entry.seq < SEQ_END or len(entry.incarnation) != ID_BYTES:
            posting.asides.append(_aside(seq, "continues no journal that can be"))
        case Continued():
            posting.closes.append(Close(entry.incarnation, entry.seq, entry.hash))
        case _:
            raise AssertionError(f"an entry of type {type(entry).__name__}")


def _aside(seq: int, reason: str) -> AsideRow:
    """Return a set-aside whose reason any database can hold: control characters, NUL as well, are escaped."""
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in reason)
    return AsideRow(seq, shown[:REASON_CHARS_MAX])


def unbalanced(receipt: Receipt) -> str | None:
    """Return why a receipt can't be posted, None when it balances: gross, tax and payments are sums."""
    amount = tax = 0
    for line in receipt.lines:
        amount += line.amount
        tax += line.tax
    if amount != receipt.gross:
        return f"lines of {amount}, gross {receipt.gross}"
    if tax != receipt.tax:
        return f"line taxes of {tax}, tax {receipt.tax}"
    paid = 0
    for payment in receipt.payments:
        paid += payment.amount
    if paid != receipt.gross:
        return f"payments of {paid}, gross {receipt.gross}"
    if len(receipt.op_id) != ID_BYTES or len(receipt.business_date) != 10:
        return "op id or business date of a wrong length"
    return None


def out_of_bounds(receipt: Receipt) -> str | None:
    """Return what of a receipt no till can have sold: sums over all of them must stay within 64 bits."""
    for line in receipt.lines:
        if not -QTY_MAX <= line.qty <= QTY_MAX:
            return f"a line of {line.qty} thousandths"
        if not (-AMOUNT_MAX <= line.amount <= AMOUNT_MAX and -AMOUNT_MAX <= line.tax <= AMOUNT_MAX):
            return f"a line of {line.amount} with tax of {line.tax}"
        if len(line.sku) > SKU_CHARS_MAX:
            return f"a SKU of {len(line.sku)} characters"
    for payment in receipt.payments:
        if not -AMOUNT_MAX <= payment.amount <= AMOUNT_MAX:
            return f"a payment of {payment.amount}"
    if not (-AMOUNT_MAX <= receipt.gross <= AMOUNT_MAX and -AMOUNT_MAX <= receipt.tax <= AMOUNT_MAX):
        return f"gross of {receipt.gross} with tax of {receipt.tax}"
    return None


def misnumbered(till: str, receipt: Receipt) -> str | None:
    """Return why the number that a receipt was printed with can't be one of its till's."""
    number = receipt.number
    if number is None:
        return None if 0 < receipt.counter < COUNTER_END else f"{receipt.counter} is no receipt's counter"
    short, _, counter = number.removeprefix(f"{till}-").partition("-")
    of_till = number.startswith(f"{till}-") and len(short) == SHORT_LENGTH
    if of_till and counter.isascii() and counter.isdecimal() and len(counter) in COUNTER_LENGTHS:
        return None
    return f"{number[:SHOWN]!r} is no receipt number of {till}"


def set_aside(posting: Posting, seq: int, reason: str) -> Posting:
    """Return the posting with one entry set aside: the database refused its rows."""
    return replace(
        posting,
        receipts=[row for row in posting.receipts if row.seq != seq],
        opened=[row for row in posting.opened if row[0] != seq],
        closed=[row for row in posting.closed if row[0] != seq],
        flags=[row for row in posting.flags if row.seq != seq],
        asides=sorted([*posting.asides, _aside(seq, reason)]),
    )


class Failure(Enum):
    """What a database error says about the entry: POISON can never be stored, TRANSIENT says nothing of it."""

    POISON = "poison"
    TRANSIENT = "transient"
    UNKNOWN = "unknown"


class Remedy(Enum):
    """What to do with a batch (or a part of it) that failed."""

    RETRY_LATER = "retry_later"
    SPLIT = "split"
    SET_ASIDE = "set_aside"


_POISON_CLASSES = frozenset({"22", "23"})
_TRANSIENT_CLASSES = frozenset({"08", "25", "40", "53", "55", "57", "58"})
UNKNOWN_TRIES = 3


def classify_sqlstate(sqlstate: str | None, *, constraint: str | None = None) -> Failure:
    """Classify a database error. No SQLSTATE means that the connection is gone.

    A race for one op id (index `receipt_op`) is transient: tried again, the op id is known.
    """
    if sqlstate is None or constraint == "receipt_op":
        return Failure.TRANSIENT
    if sqlstate[:2] in _POISON_CLASSES:
        return Failure.POISON
    return Failure.TRANSIENT if sqlstate[:2] in _TRANSIENT_CLASSES else Failure.UNKNOWN


def remedy(failure: Failure, *, tries: int, entries: int) -> Remedy:
    """Return what to do with `entries` entries that failed for the `tries`-th time."""
    if failure is Failure.TRANSIENT or (failure is Failure.UNKNOWN and tries < UNKNOWN_TRIES):
        return Remedy.RETRY_LATER
    return Remedy.SPLIT if entries > 1 else Remedy.SET_ASIDE
