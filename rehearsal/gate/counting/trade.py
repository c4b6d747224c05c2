"""The same journals every time: sales of three lines, made from a seed, chained and cut into batches.

Nothing random is left in them, so their bytes are the same wherever they are counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from syncref.domain.identity import Key, chain_hash, genesis_hash
from syncref.domain.money import line_amount, tax_included
from syncref.wire.entry import Line, Payment, Receipt, encode_entry
from syncref.wire.sync import Batch, HelloAnswer

PRODUCTS = 2_000
RATE_BP = 1900
DAY_MS = 1_740_800_000_000


def key_of(till: int) -> Key:
    """Return a till's journal key."""
    return Key(till=f"T{till:02d}", incarnation=Random(f"key/{till}").randbytes(16))  # noqa: S311 - no secret


def payloads(till: int, count: int) -> tuple[bytes, ...]:
    """Return a till's first sales as they are journaled."""
    draw = Random(f"sales/{till}")  # noqa: S311 - the same sales every time
    return tuple(encode_entry(_sale(draw, counter)) for counter in range(1, count + 1))


def _sale(draw: Random, counter: int) -> Receipt:
    lines = tuple(_line(draw) for _ in range(3))
    gross = sum(line.amount for line in lines)
    return Receipt(
        op_id=draw.randbytes(16), kind="sale", counter=counter, business_date="2025-03-01",
        at_ms=DAY_MS + counter * 7_000 + draw.randrange(5_000), cashier="C001", lines=lines,
        payments=(Payment(tender=draw.choice(("cash", "card")), amount=gross),),
        gross=gross, tax=sum(line.tax for line in lines),
    )  # fmt: skip


def _line(draw: Random) -> Line:
    price, qty = draw.randrange(49, 5000), 1000 * draw.choice((1, 1, 1, 2, 3))
    amount = line_amount(qty=qty, unit_price=price, discount=0)
    return Line(
        sku=f"P{draw.randrange(PRODUCTS):06d}", qty=qty, unit_price=price, price_version=draw.randrange(1, 9),
        tax_rate_bp=RATE_BP, discount=0, tax=tax_included(amount=amount, rate_bp=RATE_BP), amount=amount,
    )  # fmt: skip


def batches_of(
    key: Key, sales: Sequence[bytes], answer: HelloAnswer, *, cluster: str, size: int
) -> Iterator[Batch]:
    """Yield a journal from its beginning as batches of one session."""
    value = genesis_hash(cluster=cluster, key=key)
    for start in range(0, len(sales), size):
        part = tuple(sales[start : start + size])
        yield Batch(
            session=answer.session, term=answer.term, till=key.till, incarnation=key.incarnation,
            first_seq=start + 1, prev_hash=value, payloads=part,
        )  # fmt: skip
        for payload in part:
            value = chain_hash(value, payload)
