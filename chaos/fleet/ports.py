"""Free ports for a fleet's nodes, which keep theirs over restarts.

Keeps: two labs on one machine never get the same port, and no outgoing connection takes one by chance: ports come
from below the kernel's range for those, and each is locked by a file for as long as the lab lives.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

from chaos.errors import CannotRun

LOWEST = 15_000
RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Ports:
    """Hands out ports on 127.0.0.1, by name; a name gets the same port again."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"tillproof-ports-{os.getuid()}"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._locks: list[int] = []
        self._by_name: dict[str, int] = {}
        self._highest = highest()

    def of(self, name: str) -> int:
        """Return the port of a name."""
        if name not in self._by_name:
            self._by_name[name] = self._take()
        return self._by_name[name]

    def close(self) -> None:
        """Give all ports back."""
        for lock in self._locks:
            os.close(lock)
        self._locks.clear()
        self._by_name.clear()

    def _take(self) -> int:
        for _ in range(500):
            port = random.randrange(LOWEST, self._highest)  # noqa: S311 - any free port will do
            lock = os.open(self._folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(lock)
                continue
            if free(port):
                self._locks.append(lock)
                return port
            os.close(lock)
        raise CannotRun(f"no free port found between {LOWEST} and {self._highest}")


def highest() -> int:
    """Return the first port that the kernel may give to outgoing connections."""
    try:
        return max(int(RANGE.read_text().split()[0]), LOWEST + 1000)
    except (OSError, ValueError):
        return 32_768


def free(port: int) -> bool:
    """Tell whether nobody listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
