"""Between the HTTP API and the till: blocking work off the event loop, answers completed with the sync's state.

Keeps: a sale's commit never waits for the network; only its reply does, within the budget, and only online.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Protocol, TypeVar

from prometheus_client.metrics_core import Metric

from syncref.errors import Busy, NotFound, StorageFailed
from syncref.metrics import Meter
from syncref.store import till_catalogue
from syncref.store.till_open import TillDatabase
from syncref.store.till_reserve import Reserve
from syncref.store.till_state import TillState, read_state
from syncref.till.answers import Answer, with_sync
from syncref.till.checkout import Checkout, Done
from syncref.till.clock import TillClock
from syncref.till.metrics import Counts, families
from syncref.till.progress import Progress
from syncref.till.sessions import TOKEN_TTL_S, Sessions
from syncref.wire.till_api import (
    CursorState,
    DayState,
    PriceAnswer,
    SessionAnswer,
    StatusAnswer,
    StockAnswer,
    SyncAnswer,
    SyncState,
)

LOG_INS_MAX = 100  # they are done one at a time, and take three seconds of a core together
T = TypeVar("T")


class SyncHandle(Protocol):
    """What the desk needs of the sync."""

    def state(self, *, merging: bool, disk: str) -> SyncState:
        """Return what the sync is doing."""

    def alive(self) -> bool:
        """Return whether all its threads run."""

    def contact_ms(self) -> int | None:
        """Return when a server last answered, by the till's clock."""

    def failures(self) -> tuple[int, int]:
        """Return how often the upload, and the fetching of masters, failed."""

    async def run(self, what: Literal["up", "down", "all"]) -> SyncAnswer:
        """Sync by hand."""


class Desk:
    """One till's counter as the API sees it."""

    def __init__(
        self,
        *,
        database: TillDatabase,
        checkout: Checkout,
        sessions: Sessions,
        progress: Progress,
        sync: SyncHandle,
        clock: TillClock,
        reserve: Reserve,
        reply_budget_ms: int,
        meter: Meter,
    ) -> None:
        self._database = database
        self._checkout = checkout
        self.sessions = sessions
        self._progress = progress
        self._sync = sync
        self._clock = clock
        self._reserve = reserve
        self._budget_s = reply_budget_ms / 1000
        self._sales = ThreadPoolExecutor(1, thread_name_prefix="sales")
        self._reads = ThreadPoolExecutor(2, thread_name_prefix="reads")
        self._log_ins = ThreadPoolExecutor(1, thread_name_prefix="log-ins")
        self._logging_in = 0
        self.meter = meter
        self._counts = Counts(meter.registry)

    def close(self) -> None:
        """Finish what was begun."""
        for pool in (self._sales, self._reads, self._log_ins):
            pool.shutdown()

    async def log_in(self, cashier_id: str, pin: str) -> SessionAnswer:
        """Return a token for a cashier. Raises Busy when too many wait, Unauthorized, TooManyAttempts."""
        if self._logging_in >= LOG_INS_MAX:
            raise Busy("too many log-ins at once", retry_after_ms=2000)
        self._logging_in += 1
        try:
            token = await self._in(self._log_ins, lambda: self.sessions.log_in(cashier_id, pin))
        finally:
            self._logging_in -= 1
        return SessionAnswer(token=token, expires_in_s=TOKEN_TTL_S)

    async def carry_out(self, operation: Callable[[Checkout], Done]) -> Answer:
        """Run an operation and wait for the server's ack within the reply budget."""
        with self._database.gate.serving():
            done = await self._in(self._sales, lambda: operation(self._checkout))
        answer = done.answer
        await self._progress.wait_acked(answer.seq, budget_s=self._budget_s)
        told = with_sync(answer, acked=self._progress.acked, safe=self._progress.safe)
        self._counts.done(told.kind, made_now=done.made_now, sync=told.sync)
        return told

    async def operation(self, op_id: str) -> Answer:
        """Return what was answered under an op id. Raises NotFound."""
        answer = await self._in(self._reads, lambda: self._checkout.look_up(bytes.fromhex(op_id)))
        if answer is None:
            raise NotFound(f"no operation {op_id} on this till")
        return answer

    async def prices(self, skus: list[str]) -> list[PriceAnswer]:
        """Return prices of one instant and one state of the masters."""
        with self._database.gate.serving():
            return await self._in(self._reads, lambda: self._prices(skus))

    def _prices(self, skus: list[str]) -> list[PriceAnswer]:
        with self._database.read() as connection:
            state = read_state(connection)
            at_ms = max(state.time_floor_ms, self._clock.price_ms())
            found = till_catalogue.items(connection, skus, at_ms=at_ms, overlay=state.overlay)
        return [
            PriceAnswer(
                sku=item.sku,
                name=item.name,
                unit_price=item.unit_price or 0,
                price_version=item.price_version or 0,
                tax_rate_bp=item.tax_rate_bp or 0,
                valid_from_ms=item.valid_from_ms or 0,
                at_ms=at_ms,
            )
            for item in found.values()
            if item.sold
        ]

    async def stock(self, sku: str) -> StockAnswer:
        """Return a product's stock. Raises NotFound."""
        return await self._in(self._reads, lambda: self._stock(sku))

    def _stock(self, sku: str) -> StockAnswer:
        with self._database.read() as connection:
            state = read_state(connection)
            found = till_catalogue.stock_of(
                connection,
                sku,
                incarnation=state.incarnation,
                stock_seq=state.stock_seq,
                overlay=state.overlay,
            )
        if found is None:
            raise NotFound(f"no stock of {sku} is known")
        server_qty, qty = found
        return StockAnswer(sku=sku, qty=qty, server_qty=server_qty, stock_seq=state.stock_seq)

    async def status(self) -> StatusAnswer:
        """Return the till at a glance."""
        state = await self._in(self._reads, self._state)
        return StatusAnswer(
            till=state.till,
            incarnation=state.incarnation.hex(),
            mode="online" if self._progress.online else "offline",
            day=DayState(business_date=state.business_date, open=state.business_date is not None),
            head=state.head_seq,
            acked=self._progress.acked,
            safe=self._progress.safe,
            backlog=max(0, state.head_seq - self._progress.acked),
            cursor=CursorState(term_n=state.cursor_n, pos=state.cursor_pos),
            loaded=state.loaded,
            last_contact_ms=self._sync.contact_ms() or state.contact_ms,
            masters_ms=state.masters_ms,
            alarm=state.alarm,
            sync=self._sync.state(merging=state.overlay, disk=self._reserve.room()),
        )

    def health(self) -> dict[str, str]:
        """Return live. Raises StorageFailed when a thread of the sync is gone."""
        if not self._sync.alive():
            raise StorageFailed("a thread of the sync is dead; the till sells, but does not sync")
        return {"status": "live"}

    async def metrics(self) -> list[Metric]:
        """Return the status as metrics."""
        return families(await self.status(), failures=self._sync.failures())

    async def sync(self, what: Literal["up", "down", "all"]) -> SyncAnswer:
        """Sync by hand and say how far it came."""
        return await self._sync.run(what)

    def _state(self) -> TillState:
        with self._database.read() as connection:
            return read_state(connection)

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, work)
