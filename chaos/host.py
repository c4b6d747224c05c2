"""How busy the host was, and what it offers: a run on a saturated host says little about the tills.

Keeps: figures come from the kernel, as shares of all cores between two samples; nothing is smoothed away.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

INTERVAL_S = 1.0
BUSY_SHARE = 0.95
PRESSURE = Path("/proc/pressure/cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSample:
    """One interval. Shares of all cores' time from 0 to 1; `at_s` monotonic, at the interval's end.

    `busy`: neither idle nor waiting for a disk. `steal`: taken by the hypervisor. `load`: the load average of one
    minute. `waiting`: share of the interval in which some process waited for a core; None where not told.
    """

    at_s: float
    busy: float
    steal: float
    iowait: float
    load: float
    waiting: float | None
    memory_free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSummary:
    """A span of samples. `saturated_share`: of intervals in which the cores were busy or stolen nearly whole."""

    samples: int
    cores: int
    busy_mean: float
    busy_max: float
    steal_max: float
    iowait_max: float
    load_max: float
    waiting_max: float | None
    memory_free_least_bytes: int
    saturated_share: float


class HostSampler:
    """Samples the host once a second in a thread of its own, from `start` to `stop`."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self.samples: list[HostSample] = []
        self._interval_s = interval_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="host sampler", daemon=True)

    def start(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def stop(self) -> list[HostSample]:
        """End, and return all samples."""
        self._over.set()
        self._thread.join()
        return self.samples

    def summary(self, begin_s: float = 0.0, end_s: float = float("inf")) -> HostSummary | None:
        """Return the figures of a span of monotonic time, or None if it has no sample."""
        return summary([sample for sample in self.samples if begin_s <= sample.at_s <= end_s])

    def _run(self) -> None:
        before, waited, at_s = psutil.cpu_times(), stalled_us(), time.monotonic()
        while not self._over.wait(self._interval_s):
            now, waits, now_s = psutil.cpu_times(), stalled_us(), time.monotonic()
            waiting = None if waited is None or waits is None else (waits - waited) / 1e6 / (now_s - at_s)
            self.samples.append(sample(now_s, shares(before._asdict(), now._asdict()), waiting))
            before, waited, at_s = now, waits, now_s


def shares(before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
    """Return what each kind of CPU time was a share of; guests' time is part of user's and left out."""
    spent = {
        kind: max(0.0, value - before.get(kind, 0.0))
        for kind, value in now.items()
        if not kind.startswith("guest")
    }
    whole = sum(spent.values()) or 1.0
    return {kind: value / whole for kind, value in spent.items()}


def sample(at_s: float, share: dict[str, float], waiting: float | None) -> HostSample:
    """Make a sample of shares."""
    steal, iowait = share.get("steal", 0.0), share.get("iowait", 0.0)
    return HostSample(
        at_s=at_s,
        busy=max(0.0, 1.0 - share.get("idle", 0.0) - iowait - steal),
        steal=steal,
        iowait=iowait,
        load=os.getloadavg()[0],
        waiting=waiting,
        memory_free_bytes=int(psutil.virtual_memory().available),
    )


def stalled_us() -> int | None:
    """Return for how many µs since boot some process waited for a core, or None."""
    try:
        first = PRESSURE.read_text().splitlines()[0]
        return int(first.rpartition("total=")[2])
    except (OSError, ValueError, IndexError):
        return None


def summary(samples: Sequence[HostSample]) -> HostSummary | None:
    """Sum samples up; None without any."""
    if not samples:
        return None
    waiting = [one.waiting for one in samples if one.waiting is not None]
    return HostSummary(
        samples=len(samples),
        cores=psutil.cpu_count() or 1,
        busy_mean=sum(one.busy for one in samples) / len(samples),
        busy_max=max(one.busy for one in samples),
        steal_max=max(one.steal for one in samples),
        iowait_max=max(one.iowait for one in samples),
        load_max=max(one.load for one in samples),
        waiting_max=max(waiting, default=None),
        memory_free_least_bytes=min(one.memory_free_bytes for one in samples),
        saturated_share=sum(one.busy + one.steal >= BUSY_SHARE for one in samples) / len(samples),
    )
