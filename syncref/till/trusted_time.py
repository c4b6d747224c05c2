"""The time by which certificates are judged: never the till's own clock, which may say 1970 or 2050.

What is known for certain is a floor: the true time is not before it. It begins with the shop's authority,
goes up with each answer of a server whose certificate was good at that time, and is kept over a restart. Since
such an answer in this life of the process, the true time itself is known, by a clock that nobody sets.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

LEEWAY_S = 300.0
STORE_EVERY_S = 3600.0
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine sleeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Validity:
    """From when to when a certificate is valid, in epoch seconds."""

    begins_s: float
    ends_s: float


class TrustedTime:
    """What this till knows of the true time. Safe to use from several threads."""

    def __init__(self, floor_s: float = 0.0, *, store: Callable[[float], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._floor_s = floor_s
        self._offset_s: float | None = None
        self._store = store
        self._stored_s = floor_s

    def floor_s(self) -> float:
        """Return a time that the true time is not before."""
        with self._lock:
            return max(self._floor_s, self._now_s() or 0.0)

    def learn(self, told_s: float, validity: Validity) -> None:
        """Take a server's word, as far as the certificate that it showed was valid at that time.

        So a server that is wrong by decades can't make a till refuse every good certificate for ever.
        """
        if not validity.begins_s - LEEWAY_S <= told_s < validity.ends_s:
            return
        with self._lock:
            if told_s < self._floor_s - LEEWAY_S:
                return
            self._offset_s = told_s - _steady_s()
            self._floor_s = max(self._floor_s, told_s)
            due = self._store is not None and self._floor_s - self._stored_s >= STORE_EVERY_S
            if due:
                self._stored_s = self._floor_s
        if due and self._store is not None:
            self._store(told_s)

    def objection(self, validity: Validity) -> str | None:
        """Return why a certificate may not be believed now, None when it may."""
        with self._lock:
            now_s, floor_s = self._now_s(), self._floor_s
        surely_s = max(floor_s, now_s or 0.0)
        if validity.ends_s < surely_s:
            return f"its certificate ended at {_told(validity.ends_s)}, it is past {_told(surely_s)}"
        if now_s is not None and validity.begins_s > now_s + LEEWAY_S:
            return f"its certificate begins at {_told(validity.begins_s)}, it is {_told(now_s)}"
        return None

    def _now_s(self) -> float | None:
        return None if self._offset_s is None else _steady_s() + self._offset_s


def _steady_s() -> float:
    return time.clock_gettime(_STEADY)


def _told(at_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at_s))
