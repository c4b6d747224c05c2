"""Caps by a systemd scope: an ordinary user's session manager makes the version 2 group."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from chaos.caps.base import Cage, Counters
from chaos.caps.v2 import read_v2
from chaos.profiles import Caps

MOUNT = Path("/sys/fs/cgroup")


def unit_name(run: str, node: str) -> str:
    """Return the scope's unit name of a node, in the characters that systemd allows."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", f"{run}-{node}")


@dataclass(slots=True, kw_only=True)
class Scope:
    """A node's scope. systemd drops the group when its last process ends, so the last reading is kept."""

    argv_prefix: tuple[str, ...]
    procs_files: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    last: Counters | None = None

    def read(self, pid: int | None) -> Counters:
        """Return what the kernel counted for the node's process, or the reading before it ended."""
        group = None if pid is None else group_of(pid)
        if group is not None:
            self.last = read_v2(group)
        return self.last or Counters(enforced=True)


def group_of(pid: int) -> Path | None:
    """Return the version 2 group of a process, or None."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    paths = [line[3:] for line in lines if line.startswith("0::")]
    return MOUNT / paths[0].lstrip("/") if paths else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeCaps:
    """Starts each node as `systemd-run --scope`, by the user's manager or, as root, by the system's."""

    user: bool
    kind: str = "systemd-scope"
    reason: str = ""

    def cage(self, run: str, node: str, caps: Caps) -> Cage:
        """Return the words that start a node in a scope with its limits."""
        words = ["systemd-run", *(["--user"] if self.user else []), "--scope", "--quiet", "--collect"]
        if caps.cpu_cores is not None:
            words += ["-p", f"CPUQuota={caps.cpu_cores * 100:.1f}%"]
        if caps.memory_bytes is not None:
            words += ["-p", f"MemoryMax={caps.memory_bytes}", "-p", "MemorySwapMax=0"]
        return Scope(argv_prefix=(*words, f"--description={unit_name(run, node)}", "--"))
