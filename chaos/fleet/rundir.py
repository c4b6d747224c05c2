"""A fleet's working folder and the record in it from which anyone can clean up after a lab that died.

Keeps: whatever a lab makes outside its folder (groups, mounts) is in the record before it is used.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from chaos.errors import CannotRun
from chaos.fleet.processes import elsewhere, identity, machine, marked, wait_gone

MARKER = "TILLPROOF_RUN"
RECORD = "record.json"


@dataclass(slots=True, kw_only=True)
class Record:
    """What a lab leaves behind when it dies: (pid, start) of the lab and its warden, groups, mounts, and the
    name of its run on a Docker Engine. `machine`: where these process numbers hold.
    """

    lab: tuple[int, str | None]
    warden: tuple[int, str | None] | None = None
    groups: list[str] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    containers: str = ""
    machine: str = field(default_factory=machine)

    def write(self, folder: Path) -> None:
        """Replace the record in one step, so that a reader never sees half of it."""
        fresh = folder / f"{RECORD}.new"
        fresh.write_text(json.dumps(asdict(self)))
        fresh.replace(folder / RECORD)


def prefix() -> str:
    """Return how this user's working folders begin."""
    return f"tillproof-{os.getuid()}-"


def make(roots: Iterable[Path] = ()) -> Path:
    """Make a working folder that other accounts may pass through but not list.

    The first root in which the database account can reach it: TMPDIR, then the system's own places.
    """
    choices = [*roots, *places()]
    for root in choices:
        if os.access(root, os.W_OK) and (os.getuid() != 0 or passable(root)):
            folder = Path(tempfile.mkdtemp(prefix=prefix(), dir=root)).resolve()
            folder.chmod(0o711)
            return folder
    raise CannotRun(
        f"no folder for temporary data that another account can reach among {', '.join(map(str, choices))}"
    )


def places() -> list[Path]:
    """Return where working folders may lie, the best first."""
    found = (Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/tmp"))  # noqa: S108 - fall-backs
    return list(dict.fromkeys(found))


def passable(folder: Path) -> bool:
    """Tell whether any account may pass through a folder and all above it."""
    resolved = folder.resolve()
    return all(one.stat().st_mode & 0o001 for one in (resolved, *resolved.parents))


def clean(folder: Path) -> list[int]:
    """End every process of a run and remove its groups, mounts and folder; return the processes that resisted."""
    try:
        record = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        record = {"groups": [], "mounts": []}
    if record.get("containers"):
        remove_containers(record["containers"])
    groups = [Path(name) for name in record["groups"]]
    left: list[int] = []
    for _ in range(50):
        pids = sorted({*marked(folder, MARKER), *members(groups)} - {os.getpid()})
        left = [pid for pid in pids if pid != (record.get("lab") or [0])[0]]
        if not left:
            break
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        left = wait_gone(left, 0.5)
    for mount in record["mounts"]:
        subprocess.run(["umount", "-l", mount], capture_output=True, check=False)
    remove_groups(groups)
    shutil.rmtree(folder, ignore_errors=True)
    return left


def remove_containers(run: str) -> None:
    """Remove what a run made on a Docker Engine, if one answers."""
    from chaos.fleet.docker.labels import remove_quietly

    remove_quietly(run)


def members(groups: Iterable[Path]) -> set[int]:
    """Return the processes in control groups."""
    found: set[int] = set()
    for group in groups:
        with contextlib.suppress(OSError):
            found.update(int(word) for word in (group / "cgroup.procs").read_text().split())
    return found


def remove_groups(groups: Iterable[Path]) -> None:
    """Remove empty control groups; one whose last process is just ending is tried again for a second."""
    for group in groups:
        for _ in range(50):
            try:
                group.rmdir()
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.02)
            else:
                break


def alive(pair: object) -> bool:
    """Tell whether the process of a recorded (pid, start) still lives."""
    if not isinstance(pair, list) or len(pair) != 2:
        return False
    return identity(pair[0]) is not None and identity(pair[0]) == pair[1]


def sweep(root: Path | None = None) -> list[Path]:
    """Clean up after this user's dead labs below `root` or wherever they may lie; return the folders removed."""
    removed = []
    roots = places() if root is None else [root]
    for folder in sorted(folder for place in roots for folder in place.glob(prefix() + "*")):
        try:
            if folder.stat().st_uid != os.getuid():
                continue
            record = json.loads((folder / RECORD).read_text())
        except (OSError, ValueError):
            continue
        if elsewhere(record.get("machine", machine())):
            continue
        if not alive(record.get("lab")) and not alive(record.get("warden")):
            clean(folder.resolve())
            removed.append(folder)
    return removed


def database_account() -> str | None:
    """Return the account that a database must run as, or None when the lab is not root."""
    if sys.platform == "win32" or os.getuid() != 0:
        return None
    for name in ("nobody", "postgres", "daemon"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise CannotRun("PostgreSQL does not run as root, and there is no account nobody, postgres or daemon")
