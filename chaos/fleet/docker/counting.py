"""The kernel's account of a container, over all of its lives.

Keeps: what a life used is not forgotten when the container is started again, for each life has a control group of
its own. Read from the kernel's files where they can be seen, else from the engine's statistics.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from chaos.caps.base import Counters
from chaos.caps.detect import MOUNT, own_paths
from chaos.caps.v1 import GroupsV1
from chaos.caps.v2 import read_v2

ROOT = "/"
SUMMED = ("cpu_used_s", "periods", "throttled_periods", "throttled_s", "oom_kills")


class Account:
    """Adds up the lives of one container. Safe to use from several threads."""

    def __init__(self) -> None:
        self._past = Counters(enforced=False)
        self._last: Counters | None = None
        self._lock = threading.Lock()

    def note(self, now: Counters | None) -> None:
        """Take in a reading of the present life; None: there was nothing to read."""
        with self._lock:
            if now is not None:
                self._last = now

    def end(self, *, oom_kills_least: int = 0) -> None:
        """Close the present life; `oom_kills_least`: by the engine, where the kernel's last word was missed."""
        with self._lock:
            if self._last is not None:
                seen = replace(self._last, oom_kills=max(self._last.oom_kills or 0, oom_kills_least))
                self._past = joined(self._past, seen)
            self._last = None

    def total(self) -> Counters:
        """Return the sum of all lives; the limits are the latest."""
        with self._lock:
            return self._past if self._last is None else joined(self._past, self._last)


def joined(past: Counters, now: Counters) -> Counters:
    """Return two lives as one: amounts added, the peak the higher, the limits those of `now`."""
    sums = {name: added(getattr(past, name), getattr(now, name)) for name in SUMMED}
    peaks = [peak for peak in (past.memory_peak_bytes, now.memory_peak_bytes) if peak is not None]
    return replace(now, memory_peak_bytes=max(peaks, default=None), **sums)


def added(one: float | None, other: float | None) -> Any:
    """Return a sum in which None counts as nothing told."""
    return other if one is None else one if other is None else one + other


def kernel_counters(pid: int, mount: Path = MOUNT, proc: Path = Path("/proc")) -> Counters | None:
    """Return what the kernel counted for the container of a process; None where its groups can't be seen.

    A process that is ending has left them for the root group already, whose account is that of the whole machine.
    """
    paths = own_paths(proc / str(pid) / "cgroup")
    if "" in paths and (mount / "cgroup.controllers").exists():
        group = mount / paths[""].lstrip("/")
        return read_v2(group) if paths[""] != ROOT and (group / "cpu.stat").exists() else None
    cpu, memory, cpuacct = (_own(mount / name, paths.get(name, ROOT)) for name in ("cpu", "memory", "cpuacct"))
    if cpu is None or memory is None:
        return None
    return GroupsV1(cpu=cpu, memory=memory, cpuacct=cpuacct).read(pid)


def _own(hierarchy: Path, path: str) -> Path | None:
    """Return a group's folder, unless it is the root group or can't be seen."""
    folder = hierarchy / path.lstrip("/")
    return folder if path != ROOT and folder.is_dir() else None


def engine_counters(stats: dict[str, Any], host: dict[str, Any]) -> Counters:
    """Return what the engine tells of a container: its statistics and its host configuration."""
    cpu, memory = stats.get("cpu_stats") or {}, stats.get("memory_stats") or {}
    throttling = cpu.get("throttling_data") or {}
    used, throttled = (cpu.get("cpu_usage") or {}).get("total_usage"), throttling.get("throttled_time")
    nano = host.get("NanoCpus") or 0
    return Counters(
        enforced=True,
        cpu_quota_cores=nano / 1e9 if nano else None,
        memory_limit_bytes=host.get("Memory") or None,
        cpu_used_s=None if used is None else used / 1e9,
        periods=throttling.get("periods"),
        throttled_periods=throttling.get("throttled_periods"),
        throttled_s=None if throttled is None else throttled / 1e9,
        memory_peak_bytes=memory.get("max_usage") or memory.get("usage"),
    )
