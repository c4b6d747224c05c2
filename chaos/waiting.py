"""Waiting for something to hold, looked at again and again up to a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

EVERY_S = 0.2


def wait_until(
    holds: Callable[[], bool],
    within_s: float,
    *,
    every_s: float = EVERY_S,
    now_s: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Return True as soon as `holds()` is; False when it was not at the last look, made after the deadline."""
    until = now_s() + within_s
    while True:
        late = now_s() >= until
        if holds():
            return True
        if late:
            return False
        sleep(every_s)
