"""What has to be done beside the sync: move SQLite's log, merge an applied run, keep the reserve filled.

Keeps: none of it ever waits inside a sale's commit; the thread never dies silently.
"""

from __future__ import annotations

import logging
import threading
import time

from syncref.errors import SyncrefError
from syncref.logs import event
from syncref.store.till_merge import merge_step
from syncref.store.till_open import TillDatabase
from syncref.store.till_reserve import Reserve
from syncref.till.pace import Pace

CHECKPOINT_BYTES = 2 * 1024 * 1024
_CHECKPOINT_EVERY_S = 1.0
_LOOK_S = 0.5
_RESTORE_EVERY = 20
_log = logging.getLogger("syncref.till")


class Caretaker:
    """A thread of small chores."""

    def __init__(self, database: TillDatabase, reserve: Reserve) -> None:
        self._database = database
        self._reserve = reserve
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._pace = Pace(database.gate, self._stopping)
        self._checkpointed = 0.0
        self._thread = threading.Thread(target=self._live, name="caretaker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the chore that it is at."""
        self._stopping.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(5)

    def alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def merge_soon(self) -> None:
        """Begin to merge a run that was just applied."""
        self._wake.set()

    def _live(self) -> None:
        rounds = 0
        while not self._stopping.is_set():
            try:
                self._chores(rounds)
            except SyncrefError as error:
                event(_log, logging.WARNING, "a chore failed", code=error.code, message=error.message)
                self._stopping.wait(_LOOK_S)
            except Exception as error:  # noqa: BLE001 - the outer loop: it reports, and goes on
                _log.error("a chore crashed", exc_info=error)
                self._stopping.wait(_LOOK_S)
            rounds += 1
            self._wake.wait(_LOOK_S)
            self._wake.clear()

    def _chores(self, rounds: int) -> None:
        self._pace.start()
        while not self._stopping.is_set() and merge_step(self._database):
            self._checkpoint()
            self._pace.rest()
        self._checkpoint()
        if rounds % _RESTORE_EVERY == 0:
            self._reserve.restore()

    def _checkpoint(self) -> None:
        due = time.monotonic() - self._checkpointed > _CHECKPOINT_EVERY_S
        if due and self._database.wal_bytes() > CHECKPOINT_BYTES:
            self._checkpointed = time.monotonic()
            self._database.checkpoint()
