"""The documented arithmetic of receipts and journals, implemented a second time.

Property kept: the oracle shares no code with the defendant, so that a wrong rule can't acquit itself.
Source: docs/protocol.md. Money is integer minor units, qty thousandths, rates basis points.
"""

from __future__ import annotations

import base64
import hashlib
import struct

QTY_MAX = 10**9
AMOUNT_MAX = 10**12
SKU_CHARS_MAX = 64
COUNTER_MAX = 999_999_999
SEQ_END = 1 << 62


def nearest(numerator: int, denominator: int) -> int:
    """Return the integer nearest to a fraction; a half goes away from zero. `denominator` > 0."""
    quotient, remainder = divmod(abs(numerator), denominator)
    if remainder * 2 >= denominator:
        quotient += 1
    return -quotient if numerator < 0 else quotient


def amount_of(qty: int, unit_price: int, discount: int) -> int:
    """Return a line's amount, tax included."""
    return nearest(qty * unit_price, 1000) - discount


def tax_in(amount: int, rate_bp: int) -> int:
    """Return the tax that a tax-inclusive amount contains."""
    return nearest(amount * rate_bp, 10_000 + rate_bp)


def genesis(cluster: str, till: str, incarnation_hex: str) -> bytes:
    """Return the chain hash before a journal's first entry."""
    parts = (cluster.encode(), till.encode(), bytes.fromhex(incarnation_hex))
    framed = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return hashlib.sha256(b"syncref journal 1" + framed).digest()


def link(previous: bytes, payload: bytes) -> bytes:
    """Return the chain hash after an entry."""
    digest = hashlib.sha256(previous)
    digest.update(payload)
    return digest.digest()


def number_on_paper(till: str, incarnation_hex: str, counter: int) -> str:
    """Return the receipt number that a till prints."""
    short = base64.b32encode(bytes.fromhex(incarnation_hex)[:5])[:5].decode()
    return f"{till}-{short}-{counter:06d}"
