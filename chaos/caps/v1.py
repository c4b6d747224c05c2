"""Caps by control groups version 1: one group per node in the cpu and in the memory hierarchy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from chaos.caps.base import Cage, Counters, number, table
from chaos.errors import CannotRun
from chaos.profiles import Caps

PERIOD_US = 100_000
UNLIMITED = 2**60


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupsV1:
    """A node's groups. `cpuacct` may be absent; it only adds the CPU time used."""

    cpu: Path
    memory: Path
    cpuacct: Path | None

    @property
    def folders(self) -> tuple[Path, ...]:
        """The groups, each once."""
        unique = dict.fromkeys(path for path in (self.cpu, self.memory, self.cpuacct) if path is not None)
        return tuple(unique)

    @property
    def procs_files(self) -> tuple[Path, ...]:
        """Where the node's first process enters itself."""
        return tuple(folder / "cgroup.procs" for folder in self.folders)

    @property
    def argv_prefix(self) -> tuple[str, ...]:
        """Nothing: the process joins by itself."""
        return ()

    def read(self, pid: int | None) -> Counters:
        """Return what the kernel holds and counted."""
        quota, period = number(self.cpu / "cpu.cfs_quota_us"), number(self.cpu / "cpu.cfs_period_us")
        limit = number(self.memory / "memory.limit_in_bytes")
        stat = table(self.cpu / "cpu.stat")
        used = None if self.cpuacct is None else number(self.cpuacct / "cpuacct.usage")
        throttled = stat.get("throttled_time")
        return Counters(
            enforced=True,
            cpu_quota_cores=quota / period if quota is not None and quota > 0 and period else None,
            memory_limit_bytes=limit if limit is not None and limit < UNLIMITED else None,
            cpu_used_s=None if used is None else used / 1e9,
            periods=stat.get("nr_periods"),
            throttled_periods=stat.get("nr_throttled"),
            throttled_s=None if throttled is None else throttled / 1e9,
            memory_peak_bytes=number(self.memory / "memory.max_usage_in_bytes"),
            oom_kills=table(self.memory / "memory.oom_control").get("oom_kill"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CapsV1:
    """Makes groups below the lab's own ones: a container's lab may not see the root of the hierarchy."""

    cpu: Path
    memory: Path
    cpuacct: Path | None
    kind: str = "cgroup-v1"
    reason: str = ""

    def cage(self, run: str, node: str, caps: Caps) -> Cage:
        """Make a node's groups and set its limits."""
        name = f"{run}-{node}"
        groups = GroupsV1(
            cpu=self.cpu / name,
            memory=self.memory / name,
            cpuacct=None if self.cpuacct is None else self.cpuacct / name,
        )
        try:
            for folder in groups.folders:
                folder.mkdir(exist_ok=True)
            if caps.cpu_cores is not None:
                (groups.cpu / "cpu.cfs_period_us").write_text(str(PERIOD_US))
                (groups.cpu / "cpu.cfs_quota_us").write_text(str(round(caps.cpu_cores * PERIOD_US)))
            if caps.memory_bytes is not None:
                (groups.memory / "memory.limit_in_bytes").write_text(str(caps.memory_bytes))
                swap = groups.memory / "memory.memsw.limit_in_bytes"
                if swap.exists():
                    swap.write_text(str(caps.memory_bytes))
        except OSError as error:
            raise CannotRun(f"control group of {node}: {error}") from error
        return groups
