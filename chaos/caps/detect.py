"""Find the way to cap nodes that really works here: each is tried, not guessed from version numbers."""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path

from chaos.caps.base import Capper
from chaos.caps.none import NoCaps
from chaos.caps.scope import ScopeCaps
from chaos.caps.v1 import CapsV1
from chaos.caps.v2 import CapsV2
from chaos.errors import CannotRun
from chaos.profiles import Caps

MOUNT = Path("/sys/fs/cgroup")
SELF = Path("/proc/self/cgroup")
PROBE = Caps(cpu_cores=0.5, memory_bytes=64 * 1024**2)
CONTROLLERS = {"cpu", "memory"}
HELD = f'cd "{MOUNT}$(sed -n s/^0:://p /proc/self/cgroup)" && cat cpu.max memory.max'


def detect() -> Capper:
    """Return the best way that works: version 2, version 1, a systemd scope, or none with the reasons."""
    reasons = []
    for attempt in (attempt_v2, attempt_v1, attempt_scope):
        try:
            return attempt()
        except CannotRun as error:
            reasons.append(str(error))
    return NoCaps(reason="; ".join(reasons))


def attempt_v2(mount: Path = MOUNT, own: Path = SELF) -> Capper:
    """Return version 2 caps, below the lab's own group or, if that holds processes, beside it."""
    if not (mount / "cgroup.controllers").exists():
        raise CannotRun("cgroup v2: not mounted")
    path = own_paths(own).get("", "/")
    group = mount / path.lstrip("/")
    for parent in (group, group.parent if group != mount else mount):
        try:
            enable(parent)
        except CannotRun as error:
            reason = error
            continue
        capper = CapsV2(parent=parent)
        prove(capper)
        return capper
    raise reason


def enable(parent: Path) -> None:
    """Give a version 2 group's children the cpu and memory controllers; raise CannotRun where it can't."""
    control = parent / "cgroup.subtree_control"
    try:
        offered = set((parent / "cgroup.controllers").read_text().split())
        if not offered >= CONTROLLERS:
            missing = ", ".join(sorted(CONTROLLERS - offered))
            raise CannotRun(f"cgroup v2: no {missing} controller in {parent}")
        if not set(control.read_text().split()) >= CONTROLLERS:
            control.write_text("+cpu +memory")
    except OSError as error:
        raise CannotRun(f"cgroup v2: {error}") from error


def attempt_v1(mount: Path = MOUNT, own: Path = SELF) -> Capper:
    """Return version 1 caps below the lab's own groups."""
    paths = own_paths(own)
    folders: dict[str, Path] = {}
    for controller in ("cpu", "memory", "cpuacct"):
        folder = mount / controller / paths.get(controller, "/").lstrip("/")
        if not folder.is_dir():  # a container sees its own group as the hierarchy's root
            folder = mount / controller
        if folder.is_dir() and os.access(folder, os.W_OK):
            folders[controller] = folder
    missing = [name for name in ("cpu", "memory") if name not in folders]
    if missing:
        raise CannotRun(f"cgroup v1: no writable {' and '.join(missing)} hierarchy")
    cpuacct = folders.get("cpuacct")
    if cpuacct is not None and cpuacct.resolve() == folders["cpu"].resolve():
        cpuacct = folders["cpu"]
    capper = CapsV1(cpu=folders["cpu"], memory=folders["memory"], cpuacct=cpuacct)
    prove(capper)
    return capper


def attempt_scope() -> Capper:
    """Return systemd scopes if a session manager answers and delegates cpu and memory.

    A manager that lacks a controller starts the scope all the same, without the limit.
    """
    capper = ScopeCaps(user=os.geteuid() != 0)
    words = capper.cage("tillproof-probe", uuid.uuid4().hex[:8], PROBE).argv_prefix
    try:
        done = subprocess.run([*words, "sh", "-c", HELD], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRun(f"systemd scope: {error}") from error
    if done.returncode:
        told = done.stderr.strip().splitlines()
        raise CannotRun(f"systemd scope: {told[-1] if told else f'exit {done.returncode}'}")
    quota, period, memory = (*done.stdout.split(), "", "", "")[:3]
    asked = (f"{float(period or 0) * (PROBE.cpu_cores or 0):.0f}", str(PROBE.memory_bytes))
    if (quota, memory) != asked:
        raise CannotRun(f"systemd scope: limits were not taken over: {' '.join(done.stdout.split())}")
    return capper


def own_paths(own: Path) -> dict[str, str]:
    """Return the lab's group by controller name; version 2 under the empty name."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return {}
    paths: dict[str, str] = {}
    for line in lines:
        _, names, path = line.split(":", 2)
        paths.update(dict.fromkeys(names.split(","), path))
    return paths


def prove(capper: Capper) -> None:
    """Make and remove a probe group and compare what the kernel holds; raise CannotRun when it differs."""
    cage = capper.cage("tillproof-probe", uuid.uuid4().hex[:8], PROBE)
    try:
        held = cage.read(None)
    finally:
        for folder in cage.folders:
            folder.rmdir()
    if held.cpu_quota_cores != PROBE.cpu_cores or held.memory_limit_bytes != PROBE.memory_bytes:
        raise CannotRun(f"{capper.kind}: limits were not taken over: {held}")
