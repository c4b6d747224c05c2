"""A cache bounded in bytes, for encoded answers that many tills share."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class SizedCache(Generic[K, V]):
    """Keeps what was put last, up to a number of bytes. Safe to share between threads."""

    def __init__(self, *, bytes_max: int, entries_max: int = 1000) -> None:
        self._bytes_max = bytes_max
        self._entries_max = entries_max
        self._guard = threading.Lock()
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._bytes = 0

    def get(self, key: K) -> V | None:
        """Return what was put under a key, None when it is not kept."""
        entry = self._entries.get(key)
        return None if entry is None else entry[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value of about `size` bytes, dropping the oldest ones beyond the bound."""
        with self._guard:
            self._bytes -= self._entries.pop(key, (None, 0))[1]
            self._entries[key] = (value, size)
            self._bytes += size
            while self._bytes > self._bytes_max or len(self._entries) > self._entries_max:
                _, (_, dropped) = self._entries.popitem(last=False)
                self._bytes -= dropped

    def clear(self) -> None:
        """Drop everything."""
        with self._guard:
            self._entries.clear()
            self._bytes = 0
