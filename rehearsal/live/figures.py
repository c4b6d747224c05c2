"""Latency while the shop sells, from the cashiers' own histories: what they write is read as it grows.

Keeps: it counts as the report does. First attempts only; a refusal is no receipt and no wait, else a till that is
down would look busy and fast.
"""

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
    n: int = -1
    of: int = -1
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
        self._waits: dict[str, deque[tuple[int, float, bool]]] = defaultdict(deque)  # at_ms, ms, whether it was ok
        self._repeats: set[tuple[Path, int]] = set()

    def read(self, now_ms: int) -> None:
        """Read what was added since; forget what is older than the window."""
        for path in self._folder.glob("history-c*.jsonl"):
            for line in self._added(path):
                if b'"repeat":true' in line:
                    self._repeats.add((path, self._decode(line).n))
                elif b'"ms":' in line:
                    self._add(path, self._decode(line))
        for waits in self._waits.values():
            while waits and waits[0][0] < now_ms - WINDOW_MS:
                waits.popleft()

    def _add(self, path: Path, done: _Line) -> None:
        if (path, done.of) in self._repeats:
            self._repeats.discard((path, done.of))
        elif done.ms is not None and done.f in TIMED and done.type != "fail":
            self._waits[done.till].append((done.at_ms, done.ms, done.type == "ok"))

    def p99_ms(self, till: str) -> float | None:
        """Return a till's 99th percentile over the window, None when nobody was served in it."""
        return percentile((ms for _, ms, _ in self._waits[till]), 0.99)

    def recent(self, now_ms: int) -> tuple[float, float | None, float | None]:
        """Return receipts per second, median and 99th percentile of all tills over the last few seconds."""
        recent = [one for each in self._waits.values() for one in each if one[0] >= now_ms - RECENT_MS]
        waits, receipts = [ms for _, ms, _ in recent], sum(ok for _, _, ok in recent)
        return receipts / (RECENT_MS / 1000), percentile(waits, 0.5), percentile(waits, 0.99)

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
