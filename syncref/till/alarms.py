"""The till's alarms: what an operator must know, kept in the till's row so that it outlives a restart."""

from __future__ import annotations

import logging
import threading

from syncref.errors import SyncrefError
from syncref.logs import event
from syncref.store.till_open import TillDatabase
from syncref.store.till_state import write_state

_log = logging.getLogger("syncref.till")


class Alarms:
    """At most one alarm per source (uplink, downlink); `alarm` in the till's row joins them."""

    def __init__(self, database: TillDatabase) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._by_source: dict[str, str] = {}

    def raise_(self, source: str, code: str, detail: str) -> None:
        """Set a source's alarm."""
        self._set(source, f"{code}: {detail}")

    def clear(self, source: str) -> None:
        """End a source's alarm."""
        self._set(source, None)

    def _set(self, source: str, text: str | None) -> None:
        with self._lock:
            if self._by_source.get(source) == text:
                return
            if text is None:
                del self._by_source[source]
            else:
                self._by_source[source] = text
                event(_log, logging.ERROR, "alarm", source=source, alarm=text)
            joined = "; ".join(self._by_source[name] for name in sorted(self._by_source)) or None
        try:
            with self._database.step() as connection:
                write_state(connection, alarm=joined)
        except SyncrefError as error:
            event(_log, logging.ERROR, "alarm not stored", alarm=joined, code=error.code)
