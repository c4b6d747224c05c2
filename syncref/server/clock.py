"""The server's wall clock. No rule of the sync compares it with a till's."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Return epoch milliseconds."""
    return time.time_ns() // 1_000_000
