"""Who may write next: a waiting sale always goes before the next step of the sync.

SQLite has one writer, and its own waiting sleeps for up to 100 ms. Inside a process this gate hands the turn
over at once, so that a sale waits at most for the one small step that is running.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class WriteGate:
    """One writer at a time; sales before sync steps."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._busy = False
        self._sales_waiting = 0
        self._last_sale = -1e9
        self._served = 0

    @contextmanager
    def sale(self) -> Iterator[None]:
        """Hold the turn for a sale."""
        with self._turn:
            self._sales_waiting += 1
            self._turn.wait_for(lambda: not self._busy)
            self._sales_waiting -= 1
            self._busy = True
        try:
            yield
        finally:
            self._last_sale = time.monotonic()
            self._hand_over()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Hold the turn for one small step of the sync, once no sale wants it."""
        with self._turn:
            self._turn.wait_for(lambda: not self._busy and not self._sales_waiting)
            self._busy = True
        try:
            yield
        finally:
            self._hand_over()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Say that somebody at the counter waits for what runs inside."""
        with self._turn:
            self._served += 1
        try:
            yield
        finally:
            with self._turn:
                self._served -= 1
                if not self._served:
                    self._turn.notify_all()

    def quiet(self, *, timeout_s: float) -> None:
        """Wait until nobody at the counter is being served, but not for ever."""
        with self._turn:
            self._turn.wait_for(lambda: not self._served, timeout_s)

    def since_sale_s(self) -> float:
        """Return how long ago the last sale ended, in seconds."""
        return 0.0 if self._sales_waiting else time.monotonic() - self._last_sale

    def _hand_over(self) -> None:
        with self._turn:
            self._busy = False
            self._turn.notify_all()
