"""Watching the peers: who is live, who must be fenced, and how far the standbys are.

Every worker tries; the one that holds the database's lock asks. A safe sequence never counts on a standby
that answered once in this term and does not any more: it stands still until that one is back, or fenced.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from syncref.core.failover import Role
from syncref.errors import SyncrefError
from syncref.logs import event
from syncref.server.peers import PeerCalls
from syncref.server.reign import Reign
from syncref.store.server_open import transaction, translated
from syncref.store.server_standbys import put_heads
from syncref.store.server_term import TermRow
from syncref.wire.peer_api import PeerAnswer

EVERY_S = 0.5
STARTING_EVERY_S = 0.2
_LOCK = 7_238_096
_DEMOTED = frozenset({Role.LIVE, Role.STARTING, Role.PROMOTING})
_log = logging.getLogger("syncref.server.watch")
Heads = dict[tuple[str, str], int]


class Watch:
    """A thread that asks the peers until it is stopped."""

    def __init__(self, engine: Engine, reign: Reign, calls: PeerCalls) -> None:
        self._engine = engine
        self._reign = reign
        self._calls = calls
        self._stop = threading.Event()
        self._of: tuple[int, bytes] | None = None
        self._standbys: dict[str, Heads] = {}
        self._told: Heads = {}
        self._silent: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the question in hand and end."""
        self._stop.set()
        self._thread.join(timeout=10)
        self._calls.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._lead()
            except SyncrefError as error:
                event(_log, logging.WARNING, "watch_failed", code=error.code, reason=error.message)
            except Exception:  # noqa: BLE001 - the outer loop reports and goes on, or nobody would watch
                _log.exception("watch_crashed")
            self._stop.wait(EVERY_S)

    def _lead(self) -> None:
        """Ask again and again while this worker is the one that asks."""
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                if not connection.execute(text("SELECT pg_try_advisory_lock(:n)"), {"n": _LOCK}).scalar_one():
                    return
                try:
                    self._of = None
                    while not self._stop.is_set():
                        role = self.look().role
                        self._stop.wait(STARTING_EVERY_S if role is Role.STARTING else EVERY_S)
                        self._held(connection)
                finally:
                    with suppress(SQLAlchemyError):
                        connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": _LOCK})
        except SQLAlchemyError as error:
            raise translated(error) from error

    def _held(self, connection: Connection) -> None:
        """Fail when the connection, and the lock with it, is gone: the database was started anew."""
        connection.execute(text("SELECT 1"))

    def look(self) -> TermRow:
        """Ask every peer once, and do what their answers call for."""
        row = self._reign.now()
        for url in self._calls.urls:
            try:
                answer = self._calls.ask(url, term_n=row.term.n)
            except SyncrefError as error:
                if url not in self._silent:
                    self._silent.add(url)
                    event(_log, logging.WARNING, "peer_silent", peer=url, reason=error.message)
                continue
            self._silent.discard(url)
            if answer.cluster != row.term.cluster:
                event(_log, logging.ERROR, "foreign_peer", peer=url, cluster=answer.cluster)
                continue
            row = self._reign.told(Role(answer.role), answer.term_n)
            if row.role is Role.LIVE:
                self._meet(url, answer, row)
        if row.role is Role.LIVE:
            self._tell(row)
        return row

    def _meet(self, url: str, answer: PeerAnswer, row: TermRow) -> None:
        """As the live server: fence one that was live before, note how far a standby of this term is."""
        reign = (row.term.n, row.term.id)
        if self._of != reign:
            self._of, self._standbys, self._told = reign, {}, {}
        same = (answer.term_n, answer.term_id) == (row.term.n, row.term.id.hex())
        if answer.in_recovery and same:
            self._standbys[url] = {(till, incarnation): seq for till, incarnation, seq in answer.heads}
        elif not answer.in_recovery:
            self._standbys.pop(url, None)
            if answer.term_n < row.term.n and Role(answer.role) in _DEMOTED:
                told = self._calls.fence(url, row.term.n)
                event(_log, logging.WARNING, "fenced_peer", peer=url, role=told.role, term_n=answer.term_n)

    def _tell(self, row: TermRow) -> None:
        books = list(self._standbys.values())
        if not books or self._of != (row.term.n, row.term.id):
            return
        safe = {key: min(book.get(key, 0) for book in books) for key in books[0]}
        news = {key: seq for key, seq in safe.items() if seq and self._told.get(key) != seq}
        if news:
            with transaction(self._engine) as connection:
                put_heads(connection, ((*key, seq) for key, seq in news.items()), term_n=row.term.n)
            self._told |= news
