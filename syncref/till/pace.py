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
_GIVE_WAY_S_MAX = 0.02


class Pace:
    """Rests for one thread. `flat_out`: nobody sells yet, so nothing is held back."""

    def __init__(self, gate: WriteGate, stopping: threading.Event | None = None) -> None:
        self._gate = gate
        self._stopping = stopping or threading.Event()
        self._used_until = time.thread_time()
        self._at = time.monotonic()
        self.flat_out = False

    def start(self) -> None:
        """Begin to measure a step."""
        self._used_until = time.thread_time()
        self._at = time.monotonic()

    def give_way(self) -> None:
        """Let whoever is being served at the counter finish first."""
        self._gate.quiet(timeout_s=_GIVE_WAY_S_MAX)

    def rest(self) -> None:
        """Rest for as long as the step since the last call deserves; what it waited itself counts as rest."""
        used = time.thread_time() - self._used_until
        waited = time.monotonic() - self._at - used
        if not self.flat_out:
            factor = _REST_BUSY if self._gate.since_sale_s() < BUSY_S else _REST_IDLE
            self._stopping.wait(max(0.0, min(_REST_S_MAX, used * factor - waited)))
            self.give_way()
        self.start()
