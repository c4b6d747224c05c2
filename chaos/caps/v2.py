"""Caps by control groups version 2: one group per node with the cpu and memory controllers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chaos.caps.base import Cage, Counters, number, table
from chaos.errors import CannotRun
from chaos.profiles import Caps

PERIOD_US = 100_000


def read_v2(group: Path) -> Counters:
    """Return what the kernel holds and counted for a version 2 group."""
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        quota, period = "max", "1"
    stat = table(group / "cpu.stat")
    throttled, used = stat.get("throttled_usec"), stat.get("usage_usec")
    return Counters(
        enforced=True,
        cpu_quota_cores=None if quota == "max" else int(quota) / int(period),
        memory_limit_bytes=number(group / "memory.max"),
        cpu_used_s=None if used is None else used / 1e6,
        periods=stat.get("nr_periods"),
        throttled_periods=stat.get("nr_throttled"),
        throttled_s=None if throttled is None else throttled / 1e6,
        memory_peak_bytes=number(group / "memory.peak"),
        oom_kills=table(group / "memory.events").get("oom_kill"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupV2:
    """A node's group."""

    group: Path

    @property
    def folders(self) -> tuple[Path, ...]:
        """The group."""
        return (self.group,)

    @property
    def procs_files(self) -> tuple[Path, ...]:
        """Where the node's first process enters itself."""
        return (self.group / "cgroup.procs",)

    @property
    def argv_prefix(self) -> tuple[str, ...]:
        """Nothing: the process joins by itself."""
        return ()

    def read(self, pid: int | None) -> Counters:
        """Return what the kernel holds and counted."""
        return read_v2(self.group)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapsV2:
    """Makes groups below `parent`, whose subtree_control has cpu and memory."""

    parent: Path
    kind: str = "cgroup-v2"
    reason: str = ""

    def cage(self, run: str, node: str, caps: Caps) -> Cage:
        """Make a node's group and set its limits."""
        group = self.parent / f"{run}-{node}"
        try:
            group.mkdir(exist_ok=True)
            if caps.cpu_cores is not None:
                (group / "cpu.max").write_text(f"{round(caps.cpu_cores * PERIOD_US)} {PERIOD_US}")
            if caps.memory_bytes is not None:
                (group / "memory.max").write_text(str(caps.memory_bytes))
                swap = group / "memory.swap.max"
                if swap.exists():
                    swap.write_text("0")
        except OSError as error:
            raise CannotRun(f"control group of {node}: {error}") from error
        return GroupV2(group=group)
