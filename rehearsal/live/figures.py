"""Latency while the shop sells, from the cashiers' own histories: what they write is read as it grows."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from pathlib import Path

import msgspec

WINDOW_MS = 30_000
RECENT_MS = 5_000
TIMED = frozenset({"sale", "refund", "void"})


class _Line(msgspec.Struct):
    type: str
    f: str = ""
    till: str = ""
    at_ms: int = 0
    ms: float | None = None


class Latencies:
    """How long cashiers waited in the last half minute, by till. One thread reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read_to: dict[Path, int] = {}
        self._decode = msgspec.json.Decoder(_Line).decode
        self._waits: dict[str, deque[tuple[int, float]]] = defaultdict(deque)

    def read(self, now_ms: int) -> None:
        """Read what was added since; forget what is older than the window."""
        for path in self._folder.glob("history-c*.jsonl"):
            for line in self._added(path):
                if b'"ms":' in line:
                    found = self._decode(line)
                    if found.ms is not None and found.f in TIMED:
                        self._waits[found.till].append((found.at_ms, found.ms))
        for waits in self._waits.values():
            while waits and waits[0][0] < now_ms - WINDOW_MS:
                waits.popleft()

    def p99_ms(self, till: str) -> float | None:
        """Return a till's 99th percentile over the window, None when nobody was served in it."""
        return percentile((ms for _, ms in self._waits[till]), 0.99)

    def recent(self, now_ms: int) -> tuple[float, float | None, float | None]:
        """Return receipts per second, median and 99th percentile of all tills over the last few seconds."""
        waits = [ms for each in self._waits.values() for at_ms, ms in each if at_ms >= now_ms - RECENT_MS]
        return len(waits) / (RECENT_MS / 1000), percentile(waits, 0.5), percentile(waits, 0.99)

    def _added(self, path: Path) -> list[bytes]:
        """Return the whole lines that were added since the last reading."""
        try:
            with path.open("rb") as file:
                file.seek(self._read_to.get(path, 0))
                new = file.read()
        except OSError:
            return []  # gone or not there yet: nothing to show
        whole = new[: new.rfind(b"\n") + 1]
        self._read_to[path] = self._read_to.get(path, 0) + len(whole)
        return whole.splitlines()


def percentile(values: Iterable[float], share: float) -> float | None:
    """Return the smallest value that at least this share does not exceed, None of nothing."""
    found = sorted(values)
    if not found:
        return None
    return found[min(len(found) - 1, max(0, -int(-share * len(found) // 1) - 1))]
