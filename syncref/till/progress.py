"""How far the live server has the journal, for the replies that wait for it and for the status.

Keeps: a reply waits only while the till is online, and never longer than its budget.
"""

from __future__ import annotations

import asyncio
import threading


class Progress:
    """Written by the uplink's thread, awaited by replies on the event loop."""

    def __init__(self, *, acked: int, safe: int) -> None:
        self.acked = acked
        self.safe = safe
        self.online = False
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def wait_acked(self, seq: int, *, budget_s: float) -> None:
        """Return once the server has the journal up to `seq`, the budget is over, or the till is offline."""
        self._loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = self._loop.create_future()
        with self._lock:
            if seq <= self.acked or not self.online:
                return
            self._waiting.append((seq, future))
        timer = self._loop.call_later(budget_s, _finish, future)
        try:
            await future
        finally:
            timer.cancel()
            with self._lock:
                self._waiting = [entry for entry in self._waiting if entry[1] is not future]

    def moved(self, *, acked: int, safe: int) -> None:
        """Record what the server confirmed, and that it was reached."""
        with self._lock:
            self.acked, self.safe, self.online = acked, safe, True
            released = [future for seq, future in self._waiting if seq <= acked]
        self._release(released)

    def lost(self) -> None:
        """Record that the server can't be reached: nobody waits for it any longer."""
        with self._lock:
            self.online = False
            released = [future for _, future in self._waiting]
        self._release(released)

    def _release(self, futures: list[asyncio.Future[None]]) -> None:
        if futures and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(_finish, *futures)


def _finish(*futures: asyncio.Future[None]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
