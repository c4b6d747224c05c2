"""Journal payloads read by position, as docs/protocol.md lists them, without the system's own decoder.

Property kept: what a payload says is derived from its bytes alone; anything that is not an entry is
named as such, never skipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from rehearsal.checkers.rules import number_on_paper


class NotAnEntry(Exception):
    """The bytes are not a journal entry."""


class Line(NamedTuple):
    """One line of a receipt; negative qty, discount, tax and amount in refunds and voids."""

    line_no: int
    sku: str
    qty: int
    unit_price: int
    price_version: int
    tax_rate_bp: int
    discount: int
    tax: int
    amount: int


class Payment(NamedTuple):
    """One payment of a receipt."""

    n: int
    tender: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receipt as one witness holds it. `counter` and `seq` are 0 where it was read from typed rows."""

    till: str
    incarnation: str
    receipt_no: str
    op_id: str
    kind: str
    business_date: str
    at_ms: int
    cashier: str
    gross: int
    tax: int
    ref: str
    lines: tuple[Line, ...]
    payments: tuple[Payment, ...]
    status: str = "posted"
    counter: int = 0
    seq: int = 0
    anew: bool = False  # journaled before in another journal, under the number that was printed then

    @property
    def counts(self) -> bool:
        """Whether it is part of sums: a duplicate is stored, but not posted."""
        return self.status != "duplicate"


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOpened:
    """The entry that opens a business date."""

    op_id: str
    business_date: str
    at_ms: int
    float_cash: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DayClosed:
    """The Z report. by_tender: tender → amount; by_rate: rate → (gross, tax)."""

    op_id: str
    business_date: str
    at_ms: int
    sales: int
    refunds: int
    voids: int
    gross: int
    tax: int
    by_tender: dict[str, int]
    by_rate: dict[int, tuple[int, int]]
    counted_cash: int
    first_receipt: str | None
    last_receipt: str | None
    chain_head: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Continued:
    """The entry with which a journal continues another one of its till, after (seq, hash)."""

    at_ms: int
    incarnation: str
    seq: int
    hash: str


Content = Receipt | DayOpened | DayClosed | Continued


def _fields(items: list[Any], kinds: str) -> list[Any]:
    """Check item types by one letter each: i int, s text, b bytes, l array, t text or nil."""
    allowed: dict[str, tuple[type, ...]] = {
        "i": (int,), "s": (str,), "b": (bytes,), "l": (list,), "t": (str, type(None)),
    }  # fmt: skip
    if len(items) < len(kinds):
        raise NotAnEntry(f"{len(items)} items where {len(kinds)} are due")
    for position, (kind, item) in enumerate(zip(kinds, items, strict=False)):
        if not isinstance(item, allowed[kind]) or isinstance(item, bool):
            raise NotAnEntry(f"item {position} is {type(item).__name__}")
    return items


def _receipt(items: list[Any], till: str, incarnation: str, seq: int, number: str) -> Receipt:
    _, op_id, kind, counter, date, at_ms, cashier, lines, payments, gross, tax, *rest = _fields(
        items, "sbsisisllii"
    )
    ref = rest[0] if rest else None
    anew = len(rest) > 1 and bool(rest[1])
    number = rest[1] if anew else number
    return Receipt(
        till=till,
        incarnation=incarnation,
        receipt_no=number,
        op_id=op_id.hex(),
        kind=kind,
        business_date=date,
        at_ms=at_ms,
        cashier=cashier,
        gross=gross,
        tax=tax,
        ref=ref or "",
        lines=tuple(Line(n, *_fields(item, "siiiiiii")[:8]) for n, item in enumerate(lines, 1)),
        payments=tuple(Payment(n, *_fields(item, "si")[:2]) for n, item in enumerate(payments, 1)),
        counter=counter,
        seq=seq,
        anew=anew,
    )


def _closed(items: list[Any]) -> DayClosed:
    fields = _fields(items, "sbsisiiiiillittb")
    tenders = [_fields(item, "si") for item in fields[10]]
    rates = [_fields(item, "iii") for item in fields[11]]
    for name, named in (("tender", tenders), ("tax rate", rates)):
        if len({item[0] for item in named}) != len(named):
            raise NotAnEntry(f"a {name} is there twice")
    return DayClosed(
        op_id=fields[1].hex(),
        business_date=fields[2],
        at_ms=fields[3],
        sales=fields[5],
        refunds=fields[6],
        voids=fields[7],
        gross=fields[8],
        tax=fields[9],
        by_tender={tender: amount for tender, amount, *_ in tenders},
        by_rate={rate: (gross, tax) for rate, gross, tax, *_ in rates},
        counted_cash=fields[12],
        first_receipt=fields[13],
        last_receipt=fields[14],
        chain_head=fields[15],
    )


def decode(payload: bytes, *, till: str, incarnation: str, seq: int) -> Content:
    """Return what an entry says. Raises NotAnEntry."""
    try:
        items = msgspec.msgpack.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnEntry(str(error)) from error
    if not isinstance(items, list) or not items:
        raise NotAnEntry("not an array")
    match items[0]:
        case "r":
            counter = _fields(items, "sbsi")[3]
            return _receipt(items, till, incarnation, seq, number_on_paper(till, incarnation, counter))
        case "o":
            fields = _fields(items, "sbsisi")
            return DayOpened(op_id=fields[1].hex(), business_date=fields[2], at_ms=fields[3], float_cash=fields[5])
        case "z":
            return _closed(items)
        case "c":
            fields = _fields(items, "sbbibi")
            return Continued(incarnation=fields[2].hex(), seq=fields[3], hash=fields[4].hex(), at_ms=fields[5])
    raise NotAnEntry(f"unknown tag {items[0]!r}")
