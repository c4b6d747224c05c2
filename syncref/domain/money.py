"""Money in integer minor units, and the one rounding rule that till and server share.

Quantities are in thousandths of the selling unit (1000 = one piece, 250 = 0.250 kg), prices include
tax and are minor units per selling unit, tax rates are basis points (1900 = 19 %).
Rounding is half away from zero, so that a refund is the exact mirror of its sale.
"""

from __future__ import annotations

QTY_UNIT = 1000
RATE_UNIT = 10_000


def round_half_away(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded to an integer, halves away from zero.

    `denominator` must be positive.
    """
    assert denominator > 0
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude


def line_amount(*, qty: int, unit_price: int, discount: int) -> int:
    """Return what a line costs, tax included: qty (thousandths) times unit price, less the discount."""
    return round_half_away(qty * unit_price, QTY_UNIT) - discount


def tax_included(*, amount: int, rate_bp: int) -> int:
    """Return the tax contained in a tax-inclusive amount. A receipt's tax is the sum of its lines' taxes."""
    return round_half_away(amount * rate_bp, RATE_UNIT + rate_bp)
