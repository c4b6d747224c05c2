"""What a server does between requests: the stock fold, resolving flags, pruning old changes.

Every worker tries; an advisory lock lets one at a time through, so no worker is special. A flush of
backlogs goes first: meanwhile the fold waits up to WAITS_MAX of its turns.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sqlalchemy import Engine, text

from syncref.errors import NotLive, SyncrefError
from syncref.logs import event
from syncref.store.server_feed import prune_changes
from syncref.store.server_open import transaction
from syncref.store.server_stock import fold, resolve_flags
from syncref.store.server_term import writable_term

PRUNE_EVERY_S = 3600
WAITS_MAX = 5
DAY_MS = 86_400_000
_PRUNE_LOCK = 7_238_093
_log = logging.getLogger("syncref.server.background")


class Background:
    """A thread that folds every `fold_ms` until it is stopped; while uploads queue up, less often."""

    def __init__(
        self,
        engine: Engine,
        *,
        fold_ms: int,
        retention_days: int,
        clock_ms: Callable[[], int],
        busy: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._fold_s = fold_ms / 1000
        self._retention_ms = retention_days * DAY_MS
        self._clock_ms = clock_ms
        self._busy = busy
        self._waited = 0
        self._stop = threading.Event()
        self._pruned_ms: int | None = None
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the step in hand and end."""
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stop.wait(self._fold_s):
            if self._busy() and self._waited < WAITS_MAX:
                self._waited += 1
                continue
            self._waited = 0
            try:
                while self._step() and not self._stop.is_set():
                    pass
            except NotLive:
                continue
            except SyncrefError as error:
                event(_log, logging.WARNING, "background_failed", code=error.code, reason=error.message)
            except Exception:  # noqa: BLE001 - the outer loop reports and goes on, or stock would stand still
                _log.exception("background_crashed")

    def _step(self) -> bool:
        """Do one bounded step; return whether there is more to fold at once."""
        now_ms = self._clock_ms()
        with transaction(self._engine) as connection:
            writable_term(connection)
            _, more = fold(connection, at_ms=now_ms)
        with transaction(self._engine) as connection:
            writable_term(connection)
            resolve_flags(connection)
        if self._pruned_ms is None or now_ms - self._pruned_ms > PRUNE_EVERY_S * 1000:
            self._pruned_ms = now_ms
            with transaction(self._engine) as connection:
                writable_term(connection)
                locked = connection.execute(
                    text("SELECT pg_try_advisory_xact_lock(:n)"), {"n": _PRUNE_LOCK}
                ).scalar_one()
                if locked:
                    prune_changes(connection, before_ms=now_ms - self._retention_ms)
        return more
