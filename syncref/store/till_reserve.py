"""The reserve: room set aside, given to sales when the disk is full. Here: a file beside a SQLite database.

Keeps the order in which things stop: staging first, then downloads, sales last.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Protocol

RESERVE_BYTES = 8 * 1024 * 1024
_SHARE_OF_FREE = 8

Room = Literal["ok", "no_staging", "no_downloads", "reserve_used"]


class Reserve(Protocol):
    """Room that is set aside while there is enough. `full_seen`: since then something did not fit."""

    full_seen: bool

    def fill(self) -> bool:
        """Set the reserve aside if there is room for it; return whether it is there. Raises SyncrefError."""

    def release(self) -> bool:
        """Give a part of it to the sales; return whether there was anything to give."""

    def room(self) -> Room:
        """Return what must stop by now."""

    def refused(self) -> None:
        """Take note that what the sync wrote did not fit."""

    def restore(self) -> None:
        """Fill the reserve again once there is room to spare. Raises SyncrefError."""


class FileReserve:
    """A preallocated file next to the database."""

    def __init__(self, database: Path, *, size: int = RESERVE_BYTES) -> None:
        self._path = Path(f"{database}.reserve")
        self._size = size
        self.full_seen = False

    def fill(self) -> bool:
        """Set the reserve aside if there is room for it; return whether it is there."""
        size = min(self._size, (self._free() + self._held()) // _SHARE_OF_FREE)
        if self._held() >= size:
            return self._held() > 0
        try:
            with self._path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            self._path.unlink(missing_ok=True)
            return False
        self.full_seen = False
        return True

    def release(self) -> bool:
        """Give half of what is held to the sales; return whether there was anything to give."""
        self.full_seen = True
        held = self._held()
        if not held:
            return False
        left = held // 2 if held > self._size // _SHARE_OF_FREE else 0
        try:
            if left:
                os.truncate(self._path, left)
            else:
                self._path.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    def room(self) -> Room:
        """Return what must stop by now."""
        if self.full_seen and not self._held():
            return "reserve_used"
        free = self._free()
        step = min(self._size, max(self._held(), 1))
        if self.full_seen or free < step:
            return "no_downloads"
        return "no_staging" if free < 2 * step else "ok"

    def refused(self) -> None:
        """Nothing to take note of: what is free is asked each time."""

    def restore(self) -> None:
        """Fill the reserve again once there is room to spare."""
        if self.full_seen and self._free() > 2 * self._size:
            self.fill()

    def _held(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _free(self) -> int:
        try:
            found = os.statvfs(self._path.parent)
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize
