"""Which server may write: carries the failover core's effects out on the database, which holds all its state.

Keeps: whatever decides is read from the database and decided under one lock of it, so that any process may
ask: a worker for a peer, the command line for the operator. A fence and a term are durable before anything
is answered.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from syncref.core import failover as core
from syncref.core.failover import FailoverEffect, FailoverEvent, FailoverState, Role
from syncref.core.step import replace
from syncref.domain.identity import ID_BYTES, Term
from syncref.errors import NotLive, RuleBroken, StorageFailed
from syncref.logs import event as log_event
from syncref.store.server_open import transaction, translated
from syncref.store.server_term import (
    TermRow,
    close_guard,
    open_guard,
    persist_fence,
    persist_term,
    read_term,
)

PROMOTE_WAIT_S = 25
PROMOTE_LOOK_S = 0.05
_LOCK = 7_238_095
_PROMOTING = "SELECT pg_is_in_recovery() AS pg_promote_awaited"
_log = logging.getLogger("syncref.server.reign")


class Reign:
    """One server's part in who is live. `peers`: how many other servers may be; `rank`: this one's of all."""

    def __init__(self, engine: Engine, *, peers: int, rank: int = 0) -> None:
        self._engine = engine
        self._peers = peers
        self._rank = rank

    def now(self) -> TermRow:
        """Return what the database is now. Raises NotLive before provisioning."""
        with transaction(self._engine) as connection:
            row = read_term(connection)
        if row is None:
            raise NotLive("this database is not provisioned: run `syncref provision server`")
        return row

    def begin(self) -> TermRow:
        """Start: with peers nothing is written until one of them, or the operator, confirms.

        Without peers a database that was restored (on another timeline) goes on under a new term.
        """
        with self._alone():
            row = self.now()
            state = replace(self._state(row), role=Role.STARTING, timeline=row.timeline, new=None)
            started = core.Started(
                timeline=row.now_timeline,
                in_recovery=row.recovering,
                fenced_by=0 if row.recovering else row.fenced_by or 0,
                fresh_id=_fresh(),
            )
            return self._play(state, started)

    def confirm(self) -> TermRow:
        """The operator says that this is the live one. A fence ends under a new term."""
        with self._alone():
            return self._play(self._state(self.now()), core.OperatorConfirmed(fresh_id=_fresh()))

    def fence(self, term_n: int) -> TermRow:
        """Take no more writes, for the sake of a newer term. Refused (RuleBroken) when it is not newer."""
        with self._alone():
            row = self.now()
            if row.recovering:
                raise RuleBroken("a standby takes no writes as it is")
            if term_n <= row.term.n:
                raise RuleBroken(f"term {term_n} is not newer than {row.term.n}")
            return self._play(self._state(row), core.FenceAsked(term_n=term_n))

    def promote(self) -> TermRow:
        """Make this standby the live server. Asked again, a promotion that was cut short is finished."""
        with self._alone():
            row = self.promotable()
            if row.role is Role.LIVE:
                return row
            if row.role is Role.PROMOTING:
                return self._play(self._state(row), core.OperatorConfirmed(fresh_id=_fresh()))
            return self._play(self._state(row), core.PromoteAsked(fresh_id=_fresh()))

    def promotable(self) -> TermRow:
        """Return what the database is now, when it can be promoted or is live already. Raises RuleBroken."""
        row = self.now()
        if row.role not in (Role.STANDBY, Role.PROMOTING, Role.LIVE):
            raise RuleBroken(f"only a standby can be promoted, this server is {row.role.value}")
        return row

    def asked(self, term_n: int) -> None:
        """A peer asks for this server's role, and told the highest term that it knows."""
        row = self.now()
        if term_n > row.term.n and row.role in (Role.STARTING, Role.LIVE):
            with self._alone():
                self._play(self._state(self.now()), core.PeerAsked(term_n=term_n))

    def told(self, role: Role, term_n: int) -> TermRow:
        """A peer told its role and term."""
        row = self.now()
        if row.role is not Role.STARTING and term_n <= row.term.n:
            return row
        with self._alone():
            told = core.PeerAnswered(role=role, term_n=term_n, fresh_id=_fresh())
            row = self.now()
            # A database that left its timeline waits for the operator: its promotion may have been cut short.
            if row.role is Role.PROMOTING and term_n <= row.term.n:
                return row
            return self._play(self._state(row), told)

    def _play(self, state: FailoverState, first: FailoverEvent) -> TermRow:
        events = deque([first])
        while events:
            state, effects = core.step(state, events.popleft())
            for effect in effects:
                answer = self._carry_out(effect)
                if isinstance(answer, core.DatabasePromoted):
                    seen = self.now().fenced_by or 0  # replayed: the old server was fenced before it went
                    events.append(core.TillReported(term_n=seen))
                if answer is not None:
                    events.append(answer)
        return self.now()

    def _carry_out(self, effect: FailoverEffect) -> FailoverEvent | None:
        match effect:
            case core.PromoteDatabase():
                return self._promote_database()
            case core.PersistTerm():
                with transaction(self._engine) as connection:
                    persist_term(connection, effect.term, guarded=self._peers > 0)
                log_event(_log, logging.WARNING, "term opened", n=effect.term.n, timeline=effect.timeline)
                return core.TermPersisted()
            case core.PersistFence():
                with transaction(self._engine) as connection:
                    persist_fence(connection, by=effect.by)
                return core.FencePersisted()
            case core.OpenWrites():
                with transaction(self._engine) as connection:
                    open_guard(connection, guarded=self._peers > 0)
                log_event(_log, logging.INFO, "live")
            case core.CloseWrites():
                if self._peers and not self.now().recovering:
                    with transaction(self._engine) as connection:
                        close_guard(connection)
            case core.Alarm():
                log_event(_log, logging.ERROR, "alarm", code=effect.code, detail=effect.detail)
            case core.AskPeers() | core.AnswerFence():
                pass  # the watch asks; whoever asked for the fence gets this call's answer
        return None

    def _promote_database(self) -> core.DatabasePromoted:
        """Wait by looking, not within pg_promote: the snapshot of a statement that waits holds up the very replay
        it waits for, where that has rows to clean up, for as long as max_standby_streaming_delay."""
        deadline = time.monotonic() + PROMOTE_WAIT_S
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("SELECT pg_promote(false)"))
                while connection.execute(text(_PROMOTING)).scalar_one():
                    if time.monotonic() > deadline:
                        raise StorageFailed(f"the database was not promoted within {PROMOTE_WAIT_S} s")
                    time.sleep(PROMOTE_LOOK_S)
        except SQLAlchemyError as error:
            raise translated(error) from error
        row = self.now()
        return core.DatabasePromoted(timeline=row.now_timeline, term=row.term)

    def _state(self, row: TermRow) -> FailoverState:
        """Return the core's state as the database has it."""
        left = row.role is Role.PROMOTING
        return FailoverState(
            role=Role.STARTING if left else row.role,
            term=row.term,
            timeline=row.now_timeline,
            peers=self._peers,
            rank=self._rank,
            ranks=self._peers + 1,
            highest_seen=max(row.term.n, row.fenced_by or 0),
            fenced_by=row.fenced_by or 0,
            new=Term(cluster=row.term.cluster, n=0, id=_fresh()) if left else None,
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Decide alone: one process at a time, also while the database is a standby."""
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": _LOCK})
                try:
                    yield
                finally:
                    with suppress(SQLAlchemyError):  # a broken connection has given its lock back already
                        connection.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": _LOCK})
        except SQLAlchemyError as error:
            raise translated(error) from error


def _fresh() -> bytes:
    return secrets.token_bytes(ID_BYTES)
