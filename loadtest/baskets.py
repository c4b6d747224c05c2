"""What customers do, from the seed: which goods, how many, discounts, how they pay, refunds and voids.

Pure: the n-th customer of a seat is drawn without a clock or the system; prices come in afterwards, because
discounts and explicit payment amounts are computed from what the till said at the look-up.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.catalogue import Catalogue, is_weighed
from loadtest.plan import Mix
from syncref.domain.money import line_amount

TENDERS = ("cash", "card", "voucher")
SHARE_UNIT = 10_000
LINES_MAX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A line wanted: qty in thousandths, discount as basis points of the line's price."""

    sku: str
    qty: int
    discount_bp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A tender's share of the total in basis points; None takes the rest and leaves the amount to the till."""

    tender: str
    share_bp: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """One arrival.

    kind     sale, refund, void or lookup (asks a price and leaves)
    scan_ms  from the arrival, when prices are asked, to the moment the sale is meant to start
    back     which of the receipts known so far a refund or void is about, as a share of them
    foreign  the refund is of another till's receipt, where one is known
    partial  only the receipt's first lines are refunded
    repeat   the ok operation is sent again under its op id; `edited`: with another basket
    """

    kind: str
    wants: tuple[Want, ...]
    shares: tuple[Share, ...]
    scan_ms: int
    back: float
    foreign: bool
    partial: bool
    repeat: bool
    edited: bool
    repeat_after_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A receipt as its customer holds it: what a refund or void needs."""

    till: str
    receipt_no: str
    lines: tuple[Mapping[str, int | str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A looked-up price: minor units per selling unit."""

    unit_price: int
    tax_rate_bp: int


def draw_customer(*, seed: int, stream: str, n: int, catalogue: Catalogue, mix: Mix) -> Customer:
    """Return the n-th customer of a seat."""
    rng = random.Random(f"{seed}|customer|{stream}|{n}")  # noqa: S311 - reproducible on purpose
    kind = _draw_kind(rng.random(), mix)
    count = 1 + int(LINES_MAX * rng.random() ** 2)
    picked = {catalogue.pick(rng.random(), salt=seed).sku: None for _ in range(count)}
    return Customer(
        kind=kind,
        wants=tuple(_draw_want(rng, sku) for sku in picked),
        shares=_draw_shares(rng),
        scan_ms=100 + int(400 * rng.random()),
        back=rng.random(),
        foreign=rng.random() < 0.5,
        partial=rng.random() < 0.4,
        repeat=rng.random() < mix.repeat_ok,
        edited=rng.random() < mix.edited,
        repeat_after_ms=100 + int(1900 * rng.random()),
    )


def _draw_kind(uniform: float, mix: Mix) -> str:
    for kind, share in (("refund", mix.refund), ("void", mix.void), ("lookup", mix.lookup)):
        if uniform < share:
            return kind
        uniform -= share
    return "sale"


def _draw_want(rng: random.Random, sku: str) -> Want:
    qty = 50 + int(2450 * rng.random() ** 2) if is_weighed(sku) else 1000 * (1 + int(5 * rng.random() ** 3))
    discounted = rng.random() < 0.15
    return Want(sku=sku, qty=qty, discount_bp=500 * (1 + int(6 * rng.random())) if discounted else 0)


def _draw_shares(rng: random.Random) -> tuple[Share, ...]:
    """Draw how it is paid: one tender or several, the last one explicit or taking the rest."""
    shape, last_rests = rng.random(), rng.random() < 0.6
    order = sorted(TENDERS, key=lambda _: rng.random())
    cuts = [2000 + int(3000 * rng.random()) for _ in range(2)]
    count = 1 if shape < 0.7 else 2 if shape < 0.93 else 3
    rest = SHARE_UNIT - sum(cuts[: count - 1])
    return (
        *(Share(tender=order[i], share_bp=cuts[i]) for i in range(count - 1)),
        Share(tender=order[count - 1], share_bp=None if last_rests else rest),
    )


def sale_basket(customer: Customer, prices: Mapping[str, Price]) -> dict[str, Any]:
    """Return the lines and payments that the till is asked to sell.

    A product without a looked-up price is sold without discount; then, or when a share comes to nothing,
    one tender takes the whole.
    """
    lines = [_sale_line(want, prices.get(want.sku)) for want in customer.wants]
    gross = None
    if all(want.sku in prices for want in customer.wants):
        gross = sum(
            line_amount(qty=line["qty"], unit_price=prices[line["sku"]].unit_price, discount=line["discount"])
            for line in lines
        )
    return {"lines": lines, "payments": _payments(customer.shares, gross)}


def _sale_line(want: Want, price: Price | None) -> dict[str, Any]:
    discount = 0
    if price is not None and want.discount_bp:
        full = line_amount(qty=want.qty, unit_price=price.unit_price, discount=0)
        discount = full * want.discount_bp // SHARE_UNIT
    return {"sku": want.sku, "qty": want.qty, "discount": discount}


def _payments(shares: Sequence[Share], gross: int | None) -> list[dict[str, Any]]:
    if gross is None:
        return [{"tender": shares[-1].tender, "amount": None}]
    amounts: list[int | None] = [gross * (share.share_bp or 0) // SHARE_UNIT for share in shares[:-1]]
    rest = gross - sum(amount or 0 for amount in amounts)
    if rest <= 0 or any(amount == 0 for amount in amounts):
        return [{"tender": shares[-1].tender, "amount": None}]
    amounts.append(None if shares[-1].share_bp is None else rest)
    return [{"tender": share.tender, "amount": amount} for share, amount in zip(shares, amounts, strict=True)]


def refund_basket(customer: Customer, paper: Paper) -> dict[str, Any]:
    """Return the refund of a receipt, or of its first half: positive numbers as on the paper."""
    kept = paper.lines[: (len(paper.lines) + 1) // 2] if customer.partial else paper.lines
    lines = [
        {key: line[key] for key in ("sku", "qty", "unit_price", "price_version", "tax_rate_bp", "discount")}
        for line in kept
    ]
    gross = sum(int(line["amount"]) for line in kept)
    payment = {"tender": customer.shares[0].tender, "amount": gross if customer.partial else None}
    return {"receipt_no": paper.receipt_no, "lines": lines, "payments": [payment]}


def edited_basket(basket: Mapping[str, Any]) -> dict[str, Any]:
    """Return the basket with one more of its first line, paid by whatever takes the rest: another request."""
    lines = [dict(line) for line in basket["lines"]]
    lines[0]["qty"] += 1000
    payments = [{"tender": payment["tender"], "amount": None} for payment in basket["payments"][:1]]
    return {**basket, "lines": lines, "payments": payments}
