"""Builds the shim with the machine's C compiler, and says how a process is started with it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from chaos.errors import CannotRun

SOURCE = Path(__file__).with_name("shim.c")
COMPILERS = ("cc", "gcc", "clang")
BUILD_S = 60.0


def compiler() -> str | None:
    """Return the C compiler's path, or None."""
    return next((path for name in COMPILERS if (path := shutil.which(name))), None)


def build(folder: Path) -> Path:
    """Compile the shim into a folder, once, and return the library; raise CannotRun where that can't be done."""
    library = folder / "shim.so"
    if library.exists():
        return library
    program = compiler()
    if not sys.platform.startswith("linux"):
        raise CannotRun("a power cut needs Linux: what a process wrote is followed through LD_PRELOAD")
    if program is None:
        raise CannotRun(f"a power cut needs a C compiler (none of {', '.join(COMPILERS)} is there)")
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / "shim.new.so"
    words = [program, "-shared", "-fPIC", "-O2", "-o", str(fresh), str(SOURCE), "-ldl", "-lpthread"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=BUILD_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRun(f"a power cut needs a C compiler, and {program} does not work: {error}") from error
    if done.returncode:
        raise CannotRun(f"{program} can't build the power cut's library: {done.stderr.strip()[-500:]}")
    fresh.replace(library)
    return library


def environment(library: Path, *, disk: Path, log: Path, single: bool) -> dict[str, str]:
    """Return what a process needs in its environment; `single`: it is one process without children that write."""
    found = {"LD_PRELOAD": str(library), "TILLPROOF_DISK": str(disk), "TILLPROOF_DISK_LOG": str(log)}
    return found | ({"TILLPROOF_DISK_SINGLE": "1"} if single else {})
