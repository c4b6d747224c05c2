"""What every way of capping a node offers. Keeps: figures come from the kernel, never from what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chaos.profiles import Caps


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """The kernel's account of one node, over all its restarts. None: the kernel doesn't tell.

    `cpu_quota_cores` and `memory_limit_bytes` are read back; None there means unlimited. Seconds of CPU time,
    bytes of memory.
    """

    enforced: bool
    cpu_quota_cores: float | None = None
    memory_limit_bytes: int | None = None
    cpu_used_s: float | None = None
    periods: int | None = None
    throttled_periods: int | None = None
    throttled_s: float | None = None
    memory_peak_bytes: int | None = None
    oom_kills: int | None = None

    @property
    def capped(self) -> bool:
        """Whether memory and CPU are both limited, as read back."""
        return self.enforced and None not in (self.cpu_quota_cores, self.memory_limit_bytes)


class Cage(Protocol):
    """The limits of one node: what its process must join, and what the kernel counted."""

    @property
    def procs_files(self) -> Sequence[Path]:
        """Files that the node's first process writes its id into before it becomes the node."""
        ...

    @property
    def argv_prefix(self) -> Sequence[str]:
        """Words to put before the node's argument list."""
        ...

    @property
    def folders(self) -> Sequence[Path]:
        """Control groups to remove at the end."""
        ...

    def read(self, pid: int | None) -> Counters:
        """Return the counters; `pid` is the node's process, if it runs."""
        ...


class Capper(Protocol):
    """One way to cap nodes on this machine."""

    @property
    def kind(self) -> str:
        """Short name for the report, as cgroup-v1."""
        ...

    @property
    def reason(self) -> str:
        """Why caps are not enforced; empty where they are."""
        ...

    def cage(self, run: str, node: str, caps: Caps) -> Cage:
        """Make the limits of a node; raise CannotRun when the kernel doesn't take them."""
        ...


def number(path: Path) -> int | None:
    """Return the whole number that a control file holds, or None."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def table(path: Path) -> dict[str, int]:
    """Return a control file of `name value` lines as a table; empty when it isn't there."""
    try:
        words = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].lstrip("-").isdigit()}
