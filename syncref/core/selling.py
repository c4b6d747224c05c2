"""Selling: how a basket becomes lines, payments and totals, and what may be taken back.

Pure leaves of the journal core. Each raises `RuleBroken` with the reason that the cashier reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import Struct

from syncref.domain.money import line_amount, tax_included
from syncref.errors import RuleBroken, Unbalanced
from syncref.wire.entry import AMOUNT_MAX, LINES_MAX, PAYMENTS_MAX, QTY_MAX, Line, Payment, Receipt

TENDERS = ("cash", "card", "voucher")
Place = tuple[str, int, int, int]  # SKU, unit price, its version, tax rate: lines that are alike on a receipt


class LineAsked(Struct, frozen=True, kw_only=True):
    """A line of a basket: qty in thousandths, discount in minor units, both as positive numbers."""

    sku: str
    qty: int
    discount: int = 0


class PaymentAsked(Struct, frozen=True, kw_only=True):
    """A tender and its amount; None takes what the others leave."""

    tender: str
    amount: int | None


class Basket(Struct, frozen=True, kw_only=True):
    """What a cashier asks to sell."""

    lines: tuple[LineAsked, ...]
    payments: tuple[PaymentAsked, ...]


class LineReturned(Struct, frozen=True, kw_only=True):
    """A line to take back, in positive numbers as printed on the receipt."""

    sku: str
    qty: int
    unit_price: int
    price_version: int
    tax_rate_bp: int
    discount: int = 0


class Return(Struct, frozen=True, kw_only=True):
    """What a cashier asks to refund, of a receipt of this or another till."""

    receipt_no: str
    lines: tuple[LineReturned, ...]
    payments: tuple[PaymentAsked, ...]


class PriceRow(Struct, frozen=True, kw_only=True):
    """A row of the price table: what a product costs from `valid_from_ms` on."""

    valid_from_ms: int
    amount: int
    version: int


class Offer(Struct, frozen=True, kw_only=True):
    """What the masters say of a product: whether it is sold, its tax rate (None: none known), its prices."""

    sku: str
    active: bool
    tax_rate_bp: int | None
    prices: tuple[PriceRow, ...]


class Original(Struct, frozen=True, kw_only=True):
    """A receipt of this till, and the receipts that were taken back from it, voids included."""

    receipt: Receipt
    returns: tuple[Receipt, ...] = ()


@dataclass(slots=True)
class _Left:
    """What is left of the lines of a place: quantity, price with no discount taken off, and the discounts."""

    qty: int = 0
    full: int = 0
    discount: int = 0


class Sums(Struct, frozen=True, kw_only=True):
    """A receipt's body: lines, payments and their totals, with the signs that the entry has."""

    lines: tuple[Line, ...]
    payments: tuple[Payment, ...]
    gross: int
    tax: int


def price_at(prices: Iterable[PriceRow], instant_ms: int) -> PriceRow | None:
    """Return the price in force at an instant: the latest that is already valid, not the newest row."""
    valid = (row for row in prices if row.valid_from_ms <= instant_ms)
    return max(valid, key=lambda row: row.valid_from_ms, default=None)


def priced(basket: Basket, offers: Iterable[Offer], *, instant_ms: int) -> Sums:
    """Return the receipt body of a sale at the prices of an instant."""
    by_sku = {offer.sku: offer for offer in offers}
    _check_count(len(basket.lines), LINES_MAX, "lines")
    lines = tuple(_priced_line(asked, by_sku.get(asked.sku), instant_ms) for asked in basket.lines)
    return _summed(lines, basket.payments, sign=1)


def returned(asked: Return, original: Original | None) -> Sums:
    """Return the body of a refund; an original of this till is checked for what is left to take back."""
    _check_count(len(asked.lines), LINES_MAX, "lines")
    for line in asked.lines:
        _check_range(line.qty, 1, QTY_MAX, "qty")
        _check_range(line.unit_price, 0, AMOUNT_MAX, "unit_price")
        _check_range(line.tax_rate_bp, 0, 100_000, "tax_rate_bp")
        _check_range(line.price_version, 0, 2**62, "price_version")
        _check_range(line.discount, 0, AMOUNT_MAX, "discount")
    left = None if original is None else _left(original)
    lines = tuple(_returned_line(line, left, asked.receipt_no) for line in asked.lines)
    return _summed(lines, asked.payments, sign=-1)


def voided(original: Original) -> Sums:
    """Return the body that takes a whole sale back: its exact mirror."""
    receipt = original.receipt
    if receipt.kind != "sale":
        raise RuleBroken(f"a {receipt.kind} can't be voided")
    if original.returns:
        raise RuleBroken("the receipt is voided or partly refunded already")
    lines = tuple(
        Line(
            sku=line.sku,
            qty=-line.qty,
            unit_price=line.unit_price,
            price_version=line.price_version,
            tax_rate_bp=line.tax_rate_bp,
            discount=-line.discount,
            tax=-line.tax,
            amount=-line.amount,
        )
        for line in receipt.lines
    )
    payments = tuple(Payment(tender=p.tender, amount=-p.amount) for p in receipt.payments)
    return Sums(lines=lines, payments=payments, gross=-receipt.gross, tax=-receipt.tax)


def _priced_line(asked: LineAsked, offer: Offer | None, instant_ms: int) -> Line:
    _check_range(asked.qty, 1, QTY_MAX, "qty")
    _check_range(asked.discount, 0, AMOUNT_MAX, "discount")
    if offer is None or not offer.active:
        raise RuleBroken(f"product {asked.sku} is not sold")
    price = price_at(offer.prices, instant_ms)
    if price is None or offer.tax_rate_bp is None:
        raise RuleBroken(f"product {asked.sku} has no price or tax rate yet")
    return _line(
        sku=asked.sku,
        qty=asked.qty,
        unit_price=price.amount,
        price_version=price.version,
        tax_rate_bp=offer.tax_rate_bp,
        full=line_amount(qty=asked.qty, unit_price=price.amount, discount=0),
        discount=asked.discount,
    )


def _returned_line(back: LineReturned, left: dict[Place, _Left] | None, receipt_no: str) -> Line:
    full = line_amount(qty=back.qty, unit_price=back.unit_price, discount=0)
    if left is not None:
        full = _taken(back, left, receipt_no, full)
    return _line(
        sku=back.sku,
        qty=-back.qty,
        unit_price=back.unit_price,
        price_version=back.price_version,
        tax_rate_bp=back.tax_rate_bp,
        full=-full,
        discount=-back.discount,
    )


def _line(
    *, sku: str, qty: int, unit_price: int, price_version: int, tax_rate_bp: int, full: int, discount: int
) -> Line:
    amount = full - discount
    if amount * qty < 0:
        raise RuleBroken(f"the discount on {sku} is more than it costs")
    return Line(
        sku=sku,
        qty=qty,
        unit_price=unit_price,
        price_version=price_version,
        tax_rate_bp=tax_rate_bp,
        discount=discount,
        tax=tax_included(amount=amount, rate_bp=tax_rate_bp),
        amount=amount,
    )


def _summed(lines: tuple[Line, ...], asked: tuple[PaymentAsked, ...], *, sign: int) -> Sums:
    gross = sum(line.amount for line in lines)
    _check_range(gross * sign, 0, AMOUNT_MAX, "gross")
    payments = _payments(asked, gross * sign)
    return Sums(
        lines=lines,
        payments=tuple(Payment(tender=tender, amount=sign * amount) for tender, amount in payments),
        gross=gross,
        tax=sum(line.tax for line in lines),
    )


def _payments(asked: tuple[PaymentAsked, ...], due: int) -> list[tuple[str, int]]:
    _check_count(len(asked), PAYMENTS_MAX, "payments")
    known = 0
    open_ended = 0
    for payment in asked:
        if payment.tender not in TENDERS:
            raise RuleBroken(f"tender {payment.tender!r} is none of {', '.join(TENDERS)}")
        if payment.amount is None:
            open_ended += 1
        else:
            _check_range(payment.amount, 0, AMOUNT_MAX, "payment")
            known += payment.amount
    if open_ended > 1:
        raise RuleBroken("only one payment may take the rest")
    if known > due or (known < due and not open_ended):
        raise Unbalanced(f"payments of {known} do not balance {due}")
    return [(p.tender, due - known if p.amount is None else p.amount) for p in asked]


def _left(original: Original) -> dict[Place, _Left]:
    """Return what is left to take back of a sale, by place."""
    if original.receipt.kind != "sale":
        raise RuleBroken(f"a {original.receipt.kind} can't be refunded")
    left: dict[Place, _Left] = {}
    for receipt in (original.receipt, *original.returns):
        for line in receipt.lines:
            place = left.setdefault(_place(line), _Left())
            place.qty += line.qty
            place.full += line.amount + line.discount
            place.discount += line.discount
    return left


def _taken(back: LineReturned, left: dict[Place, _Left], receipt_no: str, full: int) -> int:
    """Take a line from what is left and return what goes back of its price, discounts aside: `full` as a rule.

    Rounding up part after part ends at what was paid, and the last part is whatever the others left of it.
    """
    place = left.get(_place(back))
    if place is None:
        raise RuleBroken(f"receipt {receipt_no} has no such line of {back.sku}")
    place.qty -= back.qty
    place.discount -= back.discount
    if place.qty < 0 or place.discount < 0:
        raise RuleBroken(f"more of {back.sku} than receipt {receipt_no} has left to refund")
    taken = min(full, place.full) if place.qty else place.full
    place.full -= taken
    if place.full < place.discount:
        raise RuleBroken(f"the discount on {back.sku} of receipt {receipt_no} is to be taken back as well")
    return taken


def _place(line: Line | LineReturned) -> Place:
    return line.sku, line.unit_price, line.price_version, line.tax_rate_bp


def _check_count(count: int, most: int, what: str) -> None:
    if not 1 <= count <= most:
        raise RuleBroken(f"{count} {what}, where 1 to {most} are allowed")


def _check_range(value: int, least: int, most: int, what: str) -> None:
    if not least <= value <= most:
        raise RuleBroken(f"{what} {value} is not between {least} and {most}")
