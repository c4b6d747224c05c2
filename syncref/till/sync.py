"""When a till syncs: continuously, by schedule, by hand, and all three at once.

Keeps: outside of these times nothing is sent; asking twice costs nothing, since both halves run one thread each.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from syncref.core.downlink_messages import Slept as DownSlept
from syncref.core.uplink_messages import Slept as UpSlept
from syncref.logs import event
from syncref.till.caretaker import Caretaker
from syncref.till.downlink import Downlink
from syncref.till.owed import OwedUplink
from syncref.till.progress import Progress
from syncref.till.uplink import Uplink
from syncref.wire.till_api import DownDone, SyncAnswer, SyncState, UpDone

_log = logging.getLogger("syncref.till")
_RUN_TIMEOUT_S = 30.0
_LOOK_S = 0.02
_FAILURES_MAX = 2
What = Literal["up", "down", "all"]


class SyncTimes:
    """Whether it is time to sync: for good when continuous, else while a run holds it open."""

    def __init__(self, *, continuous: bool) -> None:
        self.continuous = continuous
        self._lock = threading.Lock()
        self._runs = 0

    def wanted(self) -> bool:
        """Return whether to sync now."""
        return self.continuous or self._runs > 0

    @contextmanager
    def run(self, rest: Callable[[], None]) -> Iterator[None]:
        """Hold the time of sync open, and rest once it is over: a run that begins then asks after that."""
        with self._lock:
            self._runs += 1
        try:
            yield
        finally:
            with self._lock:
                self._runs -= 1
                if not self.wanted():
                    rest()


class TillSync:
    """Both halves of a till's sync, and the runs that are asked for by hand or by schedule."""

    def __init__(
        self, *, uplink: Uplink, downlink: Downlink, caretaker: Caretaker, times: SyncTimes, progress: Progress
    ) -> None:
        self._uplink = uplink
        self._downlink = downlink
        self._caretaker = caretaker
        self._times = times
        self._progress = progress
        self._stopping = threading.Event()
        self._owing = threading.Lock()
        self.owed: tuple[OwedUplink, ...] = ()

    def owe(self, uplink: OwedUplink) -> None:
        """Upload a journal that is continued by another one as well, from now on."""
        with self._owing:  # `alive` must not meet a thread that has not begun, nor `stop` miss one that has
            if not self._stopping.is_set():
                uplink.start()
                self.owed = (*self.owed, uplink)

    def start(self) -> None:
        """Start all threads."""
        for worker in (self._caretaker, self._uplink, self._downlink):
            worker.start()

    def stop(self) -> None:
        """End all threads."""
        with self._owing:
            self._stopping.set()
        for owed in self.owed:
            owed.stop()
        for worker in (self._downlink, self._uplink, self._caretaker):
            worker.stop()

    def alive(self) -> bool:
        """Return whether all threads run."""
        own = all(worker.alive() for worker in (self._uplink, self._downlink, self._caretaker))
        return own and all(owed.alive() for owed in self.owed)

    def contact_ms(self) -> int | None:
        """Return when a server last answered, by the till's clock."""
        times = (self._uplink.contact_ms, self._downlink.contact_ms)
        return max((at for at in times if at is not None), default=None)

    def failures(self) -> tuple[int, int]:
        """Return how often the upload, and the fetching of masters, failed."""
        return self._uplink.failures, self._downlink.failures

    def state(self, *, merging: bool, disk: str) -> SyncState:
        """Return what both halves are doing."""
        up, down = self._uplink.state, self._downlink.state
        return SyncState(
            server=self._uplink.server,
            uplink=up.phase.value if up is not None else "starting",
            downlink=down.phase.value if down is not None else "starting",
            continuous=self._times.continuous,
            uplink_error=self._uplink.error,
            downlink_error=self._downlink.error,
            threads_alive=self.alive(),
            merging=merging,
            disk=disk,
            newer_rows=self._downlink.newer_rows,
        )

    async def run(self, what: What) -> SyncAnswer:
        """Sync by hand."""
        return await asyncio.to_thread(self.run_now, what)

    def run_now(self, what: What) -> SyncAnswer:
        """Sync now and return how far it came; blocks for at most half a minute."""
        event(_log, logging.INFO, "sync asked", what=what)
        with self._times.run(self._rest):
            up_to = self._uplink.sync_now() if what != "down" else None
            for owed in self.owed if what != "down" else ():
                owed.sync_now()
            runs = self._downlink.runs
            if what != "up":
                self._downlink.sync_now()
            failures = (self._uplink.failures, self._downlink.failures)
            until = time.monotonic() + _RUN_TIMEOUT_S
            error: str | None = "it took too long"
            while time.monotonic() < until and not self._stopping.wait(_LOOK_S):
                up_done = up_to is None or self._progress.acked >= up_to.seq
                down_done = what == "up" or self._downlink.runs > runs
                if up_done and down_done:
                    error = None
                    break
                if not up_done and (self._uplink.stuck or self._uplink.failures >= failures[0] + _FAILURES_MAX):
                    error = self._uplink.error or "the upload is stopped; see alarm"
                    break
                if not down_done and self._downlink.failures >= failures[1] + _FAILURES_MAX:
                    error = self._downlink.error
                    break
        return SyncAnswer(
            ok=error is None,
            up=None if what == "down" else UpDone(acked=self._progress.acked),
            down=None if what == "up" else DownDone(pos=self._downlink.position),
            error=error,
        )

    def _rest(self) -> None:
        for uplink in (self._uplink, *self.owed):
            uplink.post(UpSlept())
        self._downlink.post(DownSlept())
