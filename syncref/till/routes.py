"""The till's HTTP API for cashiers. Handlers only read, hand over and wait; the rules are elsewhere."""

from __future__ import annotations

import re
from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, Parameter

from syncref.core.selling import Basket, LineAsked, LineReturned, PaymentAsked, Return
from syncref.errors import NotFound, RequestInvalid
from syncref.till.answers import Answer
from syncref.till.desk import Desk
from syncref.wire import PRINTABLE
from syncref.wire import till_api as api
from syncref.wire.till_api import (
    DayOpenAnswer,
    PriceAnswer,
    ReceiptAnswer,
    SessionAnswer,
    StatusAnswer,
    StockAnswer,
    SyncAnswer,
    ZAnswer,
)

SKUS_MAX = 200
LOG_IN_BYTES_MAX = 4096
_OPEN: list[dict[str, list[str]]] = []
_BEARER = [{"cashier": list[str]()}]
TheDesk = NamedDependency[Desk]
TheCashier = NamedDependency[str]
Sku = Annotated[str, Parameter(min_length=1, max_length=64, pattern=PRINTABLE)]


def _payments(bodies: tuple[api.PaymentBody, ...]) -> tuple[PaymentAsked, ...]:
    return tuple(PaymentAsked(tender=body.tender, amount=body.amount) for body in bodies)


class OpenRoutes(Controller):
    """What needs no token."""

    path = "/v1"
    security = _OPEN

    @post("/session", status_code=200, summary="Log a cashier in", request_max_body_size=LOG_IN_BYTES_MAX)
    async def session(self, data: JSONBody[api.SessionAsked], desk: TheDesk) -> SessionAnswer:
        """Return a bearer token for a cashier's PIN."""
        return await desk.log_in(data.cashier_id, data.pin)

    @get("/status", summary="The till at a glance")
    async def status(self, desk: TheDesk) -> StatusAnswer:
        """Return mode, day, head, acked, safe, backlog, masters and alarms."""
        return await desk.status()

    @get("/health", summary="Whether the process serves")
    async def health(self, desk: TheDesk) -> dict[str, str]:
        """Return live, and fail when a thread of the sync is dead."""
        return desk.health()


@get("/metrics", summary="Metrics for Prometheus", media_type="text/plain", security=_OPEN)
async def metrics(request: Request[Any, Any, Any], desk: TheDesk) -> Response[bytes]:
    """Return the till's metrics."""
    desk.meter.admit(request)
    return desk.meter.answer(request, await desk.metrics())


class CashierRoutes(Controller):
    """What a cashier does."""

    path = "/v1"
    security = _BEARER

    @get("/prices/{sku:str}", summary="Look a price up")
    async def price(self, sku: Sku, cashier: TheCashier, desk: TheDesk) -> PriceAnswer:
        """Return what a product costs now."""
        found = await desk.prices([sku])
        if not found:
            raise NotFound(f"product {sku} is not sold")
        return found[0]

    @get("/prices", summary="Look several prices up in one snapshot")
    async def prices(
        self,
        desk: TheDesk,
        cashier: TheCashier,
        sku: Annotated[list[str], Parameter(min_items=1, max_items=SKUS_MAX)],
    ) -> list[PriceAnswer]:
        """Return what several products cost at one instant; what is not sold is absent."""
        if not all(0 < len(one) <= 64 and re.search(PRINTABLE, one) for one in sku):
            raise RequestInvalid("a sku has 1 to 64 characters, no control characters among them")
        return await desk.prices(sku)

    @get("/stock/{sku:str}", summary="Stock of a product")
    async def stock(self, sku: Sku, cashier: TheCashier, desk: TheDesk) -> StockAnswer:
        """Return the server's stock less this till's own sales since."""
        return await desk.stock(sku)

    @post("/sales", status_code=200, summary="Sell a basket")
    async def sale(self, data: JSONBody[api.SaleAsked], cashier: TheCashier, desk: TheDesk) -> ReceiptAnswer:
        """Sell at the prices of this instant; answered when it is durable here."""
        basket = Basket(
            lines=tuple(LineAsked(sku=line.sku, qty=line.qty, discount=line.discount) for line in data.lines),
            payments=_payments(data.payments),
        )
        answer = await desk.carry_out(
            lambda till: till.sell(op_id=bytes.fromhex(data.op_id), cashier=cashier, basket=basket)
        )
        return _receipt(answer)

    @post("/refunds", status_code=200, summary="Take lines back")
    async def refund(self, data: JSONBody[api.RefundAsked], cashier: TheCashier, desk: TheDesk) -> ReceiptAnswer:
        """Refund lines of a receipt of this or another till."""
        asked = Return(
            receipt_no=data.receipt_no,
            lines=tuple(
                LineReturned(
                    sku=line.sku,
                    qty=line.qty,
                    unit_price=line.unit_price,
                    price_version=line.price_version,
                    tax_rate_bp=line.tax_rate_bp,
                    discount=line.discount,
                )
                for line in data.lines
            ),
            payments=_payments(data.payments),
        )
        answer = await desk.carry_out(
            lambda till: till.refund(op_id=bytes.fromhex(data.op_id), cashier=cashier, asked=asked)
        )
        return _receipt(answer)

    @post("/voids", status_code=200, summary="Take a whole receipt back")
    async def void(self, data: JSONBody[api.VoidAsked], cashier: TheCashier, desk: TheDesk) -> ReceiptAnswer:
        """Void a receipt of this till's open day."""
        answer = await desk.carry_out(
            lambda till: till.void(op_id=bytes.fromhex(data.op_id), cashier=cashier, receipt_no=data.receipt_no)
        )
        return _receipt(answer)

    @post("/day/open", status_code=200, summary="Open a business date")
    async def day_open(
        self, data: JSONBody[api.DayOpenAsked], cashier: TheCashier, desk: TheDesk
    ) -> DayOpenAnswer:
        """Open a day, later than the last one closed."""
        answer = await desk.carry_out(
            lambda till: till.open_day(
                op_id=bytes.fromhex(data.op_id),
                cashier=cashier,
                business_date=data.business_date,
                float_cash=data.float_cash,
            )
        )
        assert isinstance(answer, DayOpenAnswer)
        return answer

    @post("/day/close", status_code=200, summary="Close the day")
    async def day_close(self, data: JSONBody[api.DayCloseAsked], cashier: TheCashier, desk: TheDesk) -> ZAnswer:
        """Close the open day and return its Z report, made in the same transaction."""
        answer = await desk.carry_out(
            lambda till: till.close_day(
                op_id=bytes.fromhex(data.op_id), cashier=cashier, counted_cash=data.counted_cash
            )
        )
        assert isinstance(answer, ZAnswer)
        return answer

    @get("/operations/{op_id:str}", summary="What an operation was answered")
    async def operation(
        self, op_id: Annotated[str, Parameter(pattern="^[0-9a-f]{32}$")], cashier: TheCashier, desk: TheDesk
    ) -> ReceiptAnswer | DayOpenAnswer | ZAnswer:
        """Return the answer given under an op id; 404 says that it never happened here."""
        return await desk.operation(op_id)

    @post("/sync", status_code=200, summary="Sync now")
    async def sync(self, data: JSONBody[api.SyncAsked], cashier: TheCashier, desk: TheDesk) -> SyncAnswer:
        """Upload, fetch masters, or both, and say how far it came."""
        return await desk.sync(data.what)


def _receipt(answer: Answer) -> ReceiptAnswer:
    assert isinstance(answer, ReceiptAnswer), "the request hash covers the kind of the operation"
    return answer
