"""A small shop for tests: a catalogue, and a counter that sells from it."""

from __future__ import annotations

import secrets
from typing import TypeVar

from sqlalchemy import insert

from syncref.auth import hash_secret
from syncref.core.selling import Basket, LineAsked, LineReturned, PaymentAsked, Return
from syncref.domain.identity import Mark
from syncref.domain.masters import MASTERS, row_digest
from syncref.store.till_open import TillDatabase
from syncref.store.till_reserve_table import reserve_of
from syncref.store.till_rows import write_digests
from syncref.store.till_schema import masters
from syncref.store.till_state import write_state
from syncref.till.answers import Answer
from syncref.till.checkout import Checkout
from syncref.till.clock import TillClock
from syncref.wire.till_api import DayOpenAnswer, ReceiptAnswer, ZAnswer

T = TypeVar("T")
PIN = "2468"
CATALOGUE: dict[str, list[tuple[object, ...]]] = {
    "tax_rate": [("N", 1900), ("R", 700)],
    "vendor": [("V1", "Vendor")],
    "product": [(f"P{n:03d}", f"Product {n}", "NR"[n % 2], "V1", 1) for n in range(20)],
    "price": [(f"P{n:03d}", "STD", 0, 100 + n) for n in range(20)],
    "stock": [(f"P{n:03d}", 50_000) for n in range(20)],
}


class FixedClock(TillClock):
    """A clock that a test sets."""

    def __init__(self, at_ms: int = 1_740_000_000_000) -> None:
        super().__init__()
        self.at_ms = at_ms

    def now_ms(self) -> int:
        """Return what was set."""
        return self.at_ms


def fill_catalogue(database: TillDatabase, *, cashiers: bool = False) -> None:
    """Write the catalogue as if it had been loaded."""
    rows = dict(CATALOGUE)
    rows["cashier"] = [("C1", "Cashier", hash_secret(PIN), 1)] if cashiers else []
    with database.step() as connection:
        digests: dict[str, int] = {}
        for spec in MASTERS:
            found = rows.get(spec.name, [])
            digests[spec.name] = sum(row_digest(spec.name, row, 1) for row in found)  # type: ignore[arg-type]
            named = [dict(zip((*spec.column_names, "version"), (*row, 1), strict=True)) for row in found]
            if named:
                connection.execute(insert(masters[spec.name]), named)
        write_digests(connection, database.dialect, digests)
        write_state(connection, loaded=True)


class Counter:
    """A checkout whose operations draw their own op ids."""

    def __init__(self, database: TillDatabase, *, clock: TillClock | None = None) -> None:
        self.database = database
        self.woken: list[Mark] = []
        self.clock = clock or FixedClock()
        self.reserve = reserve_of(database)
        self.checkout = Checkout(database, clock=self.clock, reserve=self.reserve, wake_uplink=self.woken.append)

    def open_day(self, date: str) -> DayOpenAnswer:
        """Open a day."""
        return _as(
            DayOpenAnswer,
            self.checkout.open_day(
                op_id=secrets.token_bytes(16), cashier="C1", business_date=date, float_cash=10_000
            ).answer,
        )

    def sell(self, *skus: str, op_id: bytes | None = None, qty: int = 1000, discount: int = 0) -> ReceiptAnswer:
        """Sell some products for cash."""
        basket = Basket(
            lines=tuple(LineAsked(sku=sku, qty=qty, discount=discount) for sku in skus),
            payments=(PaymentAsked(tender="cash", amount=None),),
        )
        done = self.checkout.sell(op_id=op_id or secrets.token_bytes(16), cashier="C1", basket=basket)
        return _as(ReceiptAnswer, done.answer)

    def refund(self, receipt: ReceiptAnswer, *, qty: int | None = None) -> ReceiptAnswer:
        """Take the first line of a receipt back."""
        line = receipt.lines[0]
        asked = Return(
            receipt_no=receipt.receipt_no,
            lines=(
                LineReturned(
                    sku=line.sku,
                    qty=qty or line.qty,
                    unit_price=line.unit_price,
                    price_version=line.price_version,
                    tax_rate_bp=line.tax_rate_bp,
                    discount=line.discount,
                ),
            ),
            payments=(PaymentAsked(tender="cash", amount=None),),
        )
        return _as(
            ReceiptAnswer,
            self.checkout.refund(op_id=secrets.token_bytes(16), cashier="C1", asked=asked).answer,
        )

    def void(self, receipt_no: str) -> ReceiptAnswer:
        """Take a whole receipt back."""
        done = self.checkout.void(op_id=secrets.token_bytes(16), cashier="C1", receipt_no=receipt_no)
        return _as(ReceiptAnswer, done.answer)

    def close_day(self, counted_cash: int = 0) -> ZAnswer:
        """Close the day."""
        done = self.checkout.close_day(op_id=secrets.token_bytes(16), cashier="C1", counted_cash=counted_cash)
        return _as(ZAnswer, done.answer)


def _as(kind: type[T], answer: Answer) -> T:
    assert isinstance(answer, kind)
    return answer
