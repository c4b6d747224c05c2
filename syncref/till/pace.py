"""How much of the machine the sync may take: small steps, and rests between them while the till is busy.

A till with 0.75 core gets 75 ms in every 100: a sync that burns them makes the next sale wait for the next
period. So while sales come in, the sync rests after each step for a multiple of the CPU time that it took.
"""

from __future__ import annotations

import threading
import time

from syncref.store.till_gate import WriteGate

BUSY_S = 3.0
_REST_BUSY = 4.0
_REST_IDLE = 0.25
_REST_S_MAX = 0.2


class Pace:
    """Rests for one thread. `flat_out`: nobody sells yet, so nothing is held back."""

    def __init__(self, gate: WriteGate, stopping: threading.Event | None = None) -> None:
        self._gate = gate
        self._stopping = stopping or threading.Event()
        self._since = time.thread_time()
        self.flat_out = False

    def start(self) -> None:
        """Begin to measure a step."""
        self._since = time.thread_time()

    def rest(self) -> None:
        """Rest for as long as the step since the last call deserves."""
        used = time.thread_time() - self._since
        if not self.flat_out:
            factor = _REST_BUSY if self._gate.since_sale_s() < BUSY_S else _REST_IDLE
            self._stopping.wait(min(_REST_S_MAX, used * factor))
        self._since = time.thread_time()
