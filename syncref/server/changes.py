"""Hearing of changes: one LISTEN connection per worker wakes the tills that wait for the feed."""

from __future__ import annotations

import asyncio
import logging
import select
import threading
from collections.abc import Callable

import psycopg2
import psycopg2.errors
import psycopg2.extensions
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from syncref.logs import event
from syncref.store.server_open import CHANNEL

RETRY_S = 0.5
POLL_S = 0.5
_log = logging.getLogger("syncref.server.changes")


class Changes:
    """Calls `changed` for every burst of notifications, `missed` when some may have been lost."""

    def __init__(self, engine: Engine, *, changed: Callable[[], None], missed: Callable[[], None]) -> None:
        self._engine = engine
        self._changed = changed
        self._missed = missed
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._listen, name="changes", daemon=True)

    def start(self) -> None:
        """Begin to listen. Must be called in the event loop that will wait."""
        self._loop = asyncio.get_running_loop()
        self._waiting = asyncio.Event()
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, and let everyone who waits go."""
        self._stop.set()
        self._thread.join(timeout=5)

    def watch(self) -> asyncio.Event:
        """Return an event that the next change sets. Take it before looking, so that nothing is missed."""
        assert self._waiting is not None
        return self._waiting

    def _wake(self) -> None:
        assert self._waiting is not None
        self._waiting.set()
        self._waiting = asyncio.Event()

    def wake(self) -> None:
        """Wake everyone who waits; may be called from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                connection = psycopg2.connect(self._dsn(), connect_timeout=5)
                try:
                    connection.autocommit = True
                    with connection.cursor() as cursor:
                        cursor.execute(f"LISTEN {CHANNEL}")
                    self._missed()
                    self.wake()
                    self._follow(connection)
                finally:
                    connection.close()
            except psycopg2.errors.ReadOnlySqlTransaction:  # a standby can't listen: look now and then
                self._changed()
                self.wake()
                self._stop.wait(RETRY_S)
            except (psycopg2.Error, SQLAlchemyError, OSError) as error:
                event(_log, logging.WARNING, "listen_failed", reason=str(error).strip())
                self._stop.wait(RETRY_S)

    def _dsn(self) -> str:
        return self._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def _follow(self, connection: psycopg2.extensions.connection) -> None:
        while not self._stop.is_set():
            if not select.select([connection], [], [], POLL_S)[0]:
                continue
            connection.poll()
            if not connection.notifies:
                continue
            if any(notice.payload == "term" for notice in connection.notifies):
                self._missed()
            else:
                self._changed()
            connection.notifies.clear()
            self.wake()
