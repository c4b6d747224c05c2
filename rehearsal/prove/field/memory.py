"""The resident memory of a process tree, watched from a thread."""

from __future__ import annotations

import threading

import psutil

LOOK_S = 0.02
MIB = 1 << 20


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process and all below it, in MiB; 0 when it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    total = 0
    for member in family:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / MIB


class Watched:
    """Remembers the highest resident memory of a process while the block runs; `first` is that at its begin."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.first = resident_mib(pid)
        self.highest = self.first

    @property
    def growth_mib(self) -> float:
        """By how much it grew at most."""
        return self.highest - self.first

    def __enter__(self) -> Watched:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_S):
            self.highest = max(self.highest, resident_mib(self._pid))
