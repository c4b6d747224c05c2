"""How busy the host was, and what it offers: a run on a saturated host says little about the tills.

Keeps: figures come from the kernel, as shares of all cores between two samples; nothing is smoothed away.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSample:
    """One interval. Shares of all cores' time from 0 to 1; `at_s` monotonic, at the interval's end.

    `busy`: neither idle nor waiting for a disk. `steal`: taken by the hypervisor. `load`: the load average of one
    minute.
    """

    at_s: float
    busy: float
    steal: float
    iowait: float
    load: float
    memory_free_bytes: int


class HostMeter:
    """Measures the host from one call of `sample` to the next; the first interval begins with the meter."""

    def __init__(self) -> None:
        self._times = psutil.cpu_times()

    def sample(self) -> HostSample:
        """Return the interval since the last call."""
        before, self._times = self._times, psutil.cpu_times()
        return sample(time.monotonic(), shares(before._asdict(), self._times._asdict()))


def shares(before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
    """Return what each kind of CPU time was a share of; guests' time is part of user's and left out."""
    spent = {
        kind: max(0.0, value - before.get(kind, 0.0))
        for kind, value in now.items()
        if not kind.startswith("guest")
    }
    whole = sum(spent.values()) or 1.0
    return {kind: value / whole for kind, value in spent.items()}


def sample(at_s: float, share: dict[str, float]) -> HostSample:
    """Make a sample of shares."""
    steal, iowait = share.get("steal", 0.0), share.get("iowait", 0.0)
    return HostSample(
        at_s=at_s,
        busy=max(0.0, 1.0 - share.get("idle", 0.0) - iowait - steal),
        steal=steal,
        iowait=iowait,
        load=os.getloadavg()[0],
        memory_free_bytes=int(psutil.virtual_memory().available),
    )
