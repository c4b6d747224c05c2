"""Reports of what was refused for security's sake: a line in the log at once, and a row for the status soon after.

Keeps: nothing that an attacker sends makes a request wait for the database or grows without bound; what can't
be stored, as on a standby, is in the log all the same.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sqlalchemy import Engine

from syncref.auth import Identity
from syncref.errors import SyncrefError
from syncref.logs import event
from syncref.store.server_open import transaction
from syncref.store.server_refusals import Refused, add_refusals

NOBODY = Identity(kind="", name="")
HELD_MAX = 500
FLUSH_EVERY_S = 0.5
_log = logging.getLogger("syncref.security")
_Key = tuple[Identity, str]


class Refusals:
    """One worker's refusals since they were last stored."""

    def __init__(self, engine: Engine, *, clock_ms: Callable[[], int]) -> None:
        self._engine = engine
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self._held: dict[_Key, Refused] = {}
        self._some = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def stop(self) -> None:
        """Store what is left and end."""
        self._stop.set()
        self._some.set()
        self._thread.join(timeout=5)

    def note(self, who: Identity, code: str, *, address: str, detail: str, request_id: str = "") -> None:
        """Report a refusal. `who`: as proved by a token, as claimed at a log-in, or NOBODY."""
        detail = f"from {address}: {detail}"[:300].replace("\x00", "")
        event(
            _log, logging.WARNING, "refused", code=code, kind=who.kind, identity=who.name, detail=detail,
            request_id=request_id,
        )  # fmt: skip
        now_ms = self._clock_ms()
        with self._lock:
            key = (who, code)
            if key not in self._held and len(self._held) >= HELD_MAX:
                key = (NOBODY, code)
            before = self._held.get(key)
            count, first_ms = (before.count, before.first_ms) if before else (0, now_ms)
            self._held[key] = Refused(
                who=key[0], code=code, count=count + 1, first_ms=first_ms, last_ms=now_ms, detail=detail
            )
        self._some.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._some.wait()
            self._some.clear()
            self._flush()
            self._stop.wait(FLUSH_EVERY_S)
        self._flush()

    def _flush(self) -> None:
        with self._lock:
            held, self._held = self._held, {}
        if not held:
            return
        try:
            with transaction(self._engine) as connection:
                add_refusals(connection, held.values())
        except SyncrefError as error:
            event(_log, logging.INFO, "refusals_not_stored", count=len(held), reason=error.message)
        except Exception:  # noqa: BLE001 - the outer loop reports and goes on, or nothing more would be stored
            _log.exception("refusals_crashed")
