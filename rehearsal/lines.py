"""A held connection to a witness PostgreSQL on which every wait has a deadline.

Keeps: a server that was stopped in its tracks costs its reader the deadline and no more; time-outs of the
server's own would stand still with it.
"""

from __future__ import annotations

import contextlib
import select
import threading
import time
from typing import Any

import psycopg2
import psycopg2.extensions

from rehearsal.evidence.databases import Database

CONNECT_S = 1.0
OPTIONS = "-c statement_timeout=5000 -c idle_in_transaction_session_timeout=5000"


class NoAnswerInTime(psycopg2.OperationalError):
    """The server takes the question and says nothing: it stands still, and asking anew would wait as long."""


class PgLine:
    """Reads one database; safe to use from several threads, one at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: psycopg2.extensions.connection | None = None
        self._lock = threading.Lock()

    def rows(self, sql: str, *, within_s: float) -> list[tuple[Any, ...]]:
        """Return a query's rows; a connection that broke since its last use is replaced once.

        Raises psycopg2.Error, also when there is no answer in time.
        """
        with self._lock:
            if self._held is not None and not self._held.closed:
                try:
                    return self._ask(self._held, sql, within_s)
                except NoAnswerInTime:
                    self._drop()
                    raise
                except psycopg2.OperationalError:
                    self._drop()
            self._held = self._connect()
            try:
                return self._ask(self._held, sql, within_s)
            except psycopg2.OperationalError:
                self._drop()
                raise

    def close(self) -> None:
        """Drop the connection."""
        with self._lock:
            self._drop()

    def _connect(self) -> psycopg2.extensions.connection:
        made: psycopg2.extensions.connection = psycopg2.connect(
            self._database.dsn, async_=True, connect_timeout=2, options=OPTIONS
        )
        _wait(made, time.monotonic() + CONNECT_S)
        return made

    def _ask(self, held: psycopg2.extensions.connection, sql: str, within_s: float) -> list[tuple[Any, ...]]:
        with held.cursor() as cursor:
            cursor.execute(sql)
            _wait(held, time.monotonic() + within_s)
            return cursor.fetchall()

    def _drop(self) -> None:
        if self._held is not None:
            with contextlib.suppress(psycopg2.Error):
                self._held.close()
            self._held = None


def _wait(connection: psycopg2.extensions.connection, until: float) -> None:
    """Let a connection come to its answer; raises psycopg2.OperationalError at the deadline."""
    while True:
        polled = connection.poll()
        if polled == psycopg2.extensions.POLL_OK:
            return
        held, left = [connection.fileno()], until - time.monotonic()
        reads, writes = (held, []) if polled == psycopg2.extensions.POLL_READ else ([], held)
        if left <= 0 or not any(select.select(reads, writes, [], left)):
            raise NoAnswerInTime("no answer in time")
