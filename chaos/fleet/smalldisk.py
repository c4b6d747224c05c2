"""A disk of a given size for one node, so that filling it hurts nobody else. Needs the right to mount."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from chaos.errors import CannotRun

BALLAST = "ballast"


def mount(folder: Path, size_bytes: int) -> None:
    """Mount a file system of `size_bytes` on a folder; raise CannotRun where we may not."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        raise CannotRun("a disk of its own for a node needs root on Linux")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0711", "tillproof", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CannotRun(f"a disk of its own for a node: {done.stderr.strip()}")


def obstacle() -> str:
    """Return why no node can have a disk of its own here, found by trying; empty where it can."""
    with tempfile.TemporaryDirectory(prefix="tillproof-disk-") as name:
        try:
            mount(Path(name), 1024 * 1024)
        except CannotRun as error:
            return str(error)
        subprocess.run(["umount", name], capture_output=True, check=False)
    return ""


def fill(folder: Path, *, more: bool = False) -> int:
    """Write ballast until the file system is full, `more`: after what is there; return the bytes written.

    Refuses a file system that `mount` didn't make: filling the host's disk is not a rehearsal.
    """
    if not os.path.ismount(folder):
        raise CannotRun(f"{folder} is not a disk of its own")
    written = 0
    with (folder / BALLAST).open("ab" if more else "wb", buffering=0) as file:
        for size in (1024 * 1024, 4096, 1):
            block = b"\0" * size
            try:
                while True:
                    written += file.write(block)
            except OSError as error:
                if error.errno != 28:  # ENOSPC
                    raise
    return written


def empty(folder: Path) -> None:
    """Remove the ballast."""
    (folder / BALLAST).unlink(missing_ok=True)


def free_bytes(folder: Path) -> int:
    """Return what an ordinary process can still write there."""
    facts = os.statvfs(folder)
    return facts.f_bavail * facts.f_frsize
