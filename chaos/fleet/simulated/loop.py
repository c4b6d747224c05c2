"""Virtual time: things happen in the order of their time, and of their making at the same time."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Loop:
    """A queue of calls. `now` is the world's true time in milliseconds, which no node can see."""

    def __init__(self) -> None:
        self.now = 0
        self.steps = 0
        self._queue: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._made = 0

    def after(self, delay_ms: int, call: Callable[..., object], *args: Any) -> None:
        """Call in `delay_ms` milliseconds."""
        self._made += 1
        heapq.heappush(self._queue, (self.now + delay_ms, self._made, call, args))

    def run(self, until_ms: int) -> None:
        """Let time pass up to `until_ms`."""
        queue = self._queue
        pop = heapq.heappop
        while queue and queue[0][0] <= until_ms:
            at, _, call, args = pop(queue)
            self.now = at
            self.steps += 1
            call(*args)
        self.now = until_ms
