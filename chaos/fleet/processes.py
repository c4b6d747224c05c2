"""Look at processes from outside: who they are, whom they begot, and how to end all of them.

Keeps: a process is known by its id and its start, so that a reused id is never signalled by mistake.
"""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path

import psutil

BOOT = Path("/proc/sys/kernel/random/boot_id")
NAMESPACE = Path("/proc/self/ns/pid")


def identity(pid: int) -> str | None:
    """Return what tells this process from a later one of the same id, or None if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        pass
    try:
        return str(int(psutil.Process(pid).create_time()))
    except psutil.Error:
        return None


def machine() -> str:
    """Return what process numbers are good for: this boot of this machine, in this process namespace."""
    try:
        return f"{BOOT.read_text().strip()}/{NAMESPACE.readlink()}"
    except OSError:
        return "unknown"


def elsewhere(told: str) -> bool:
    """Tell whether a lab of `told` may live within another container: its process numbers say nothing here."""
    return told != machine() and told.partition("/")[0] == machine().partition("/")[0]


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all of its descendants that live now, the eldest first."""
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except psutil.Error:
        return []


def signal_family(pid: int, number: int) -> list[int]:
    """Send a signal to a process and its descendants; return the ids reached."""
    reached = []
    for process in family(pid):
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
            reached.append(process.pid)
    return reached


def kill_family(pid: int, *, with_head: bool = True) -> list[int]:
    """Kill a process and its descendants as one: all are stopped before the first is killed, so none can react."""
    stopped: dict[int, psutil.Process] = {}
    while True:
        fresh = [one for one in family(pid) if one.pid not in stopped and (with_head or one.pid != pid)]
        if not fresh:
            break
        for one in fresh:
            stopped[one.pid] = one
            with contextlib.suppress(psutil.Error):
                one.send_signal(signal.SIGSTOP)
    for one in stopped.values():
        with contextlib.suppress(psutil.Error):
            one.send_signal(signal.SIGKILL)
    return list(stopped)


def state_letter(pid: int) -> str:
    """Return the kernel's state of a process: R, S, D, T (stopped), Z (ended); empty when it is gone."""
    try:
        status = psutil.Process(pid).status()
    except psutil.Error:
        return ""
    letters = {
        psutil.STATUS_STOPPED: "T",
        psutil.STATUS_TRACING_STOP: "T",
        psutil.STATUS_ZOMBIE: "Z",
        psutil.STATUS_DEAD: "Z",
        psutil.STATUS_DISK_SLEEP: "D",
        psutil.STATUS_RUNNING: "R",
    }
    return letters.get(status, "S")


def marked(folder: Path, variable: str) -> list[int]:
    """Return processes whose environment names `folder` as `variable`, or that work below it.

    As far as we may look; a database overwrites its environment. Whoever works there at a terminal only looks on.
    """
    found = []
    for process in psutil.process_iter():
        try:
            cwd = process.cwd()
        except psutil.Error:
            cwd = ""
        try:
            carries = process.environ().get(variable) == str(folder)
        except psutil.Error:
            carries = False
        if carries or (cwd and Path(cwd).is_relative_to(folder) and not at_terminal(process.pid)):
            found.append(process.pid)
    return found


def at_terminal(pid: int) -> bool:
    """Tell whether a process has a controlling terminal, as those of a fleet have not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[4] != "0"
    except OSError:
        return False


def wait_gone(pids: list[int], deadline_s: float) -> list[int]:
    """Wait until processes are gone or only wait to be reaped; return those still there at the deadline."""
    end = time.monotonic() + deadline_s
    left = pids
    while left:
        left = [pid for pid in left if state_letter(pid) not in {"", "Z"}]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.02)
    return left
