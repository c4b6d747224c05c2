"""The uplink's shell: carries the uplink core's effects out against the till's database and the servers.

Keeps: what a message rests on is stored before it is sent; a backlog of any length goes through memory batch by
batch; a journal that the server has otherwise is continued under a new incarnation, and the till sells on;
whether that was committed is read from the reopened database where nobody knows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from syncref.core import uplink as core
from syncref.core.uplink_messages import (
    Alarm,
    BatchAcked,
    EntriesLoaded,
    HelloAnswered,
    Load,
    LocalHash,
    Persisted,
    PersistProgress,
    Phase,
    Prune,
    Pruned,
    ReadHash,
    Rebase,
    Rebased,
    Recall,
    Recalled,
    Refused,
    SendBatch,
    SendHello,
    SetTimer,
    StoreFailed,
    TimerFired,
    TransportFailed,
    UplinkEffect,
    UplinkEvent,
    UplinkOptions,
    UplinkState,
    Wake,
)
from syncref.domain.identity import Key, Mark, Term, genesis_hash
from syncref.errors import SyncrefError
from syncref.store.till_journal import hash_at, persist_progress, stretch
from syncref.store.till_open import TillDatabase, unknown_outcome
from syncref.store.till_prune import anchor_of, closed_days, prunable, prune
from syncref.store.till_rebase import Closed, closed_journals, rebase
from syncref.store.till_state import TillState, read_state
from syncref.till.alarms import Alarms
from syncref.till.clock import TillClock
from syncref.till.deadline import Rejected, Unreachable
from syncref.till.pace import Pace
from syncref.till.progress import Progress
from syncref.till.servers import ServerCalls
from syncref.till.worker import Worker
from syncref.wire.sync import BATCH_BYTES_MAX, Batch, Hello, TermWire

RETENTION_S = 60 * 86_400
PRUNE_EVERY_S = 60.0
_STUCK = frozenset({Phase.FORKED})


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkParts:
    """What an uplink works with. `wanted` tells whether it is time to sync."""

    database: TillDatabase
    calls: ServerCalls
    servers: tuple[str, ...]
    options: UplinkOptions
    progress: Progress
    clock: TillClock
    alarms: Alarms
    wanted: Callable[[], bool]


class Uplink(Worker[UplinkState, UplinkEvent, UplinkEffect]):
    """Sends one till's journal. `owe` is told of each journal that another continues, at every beginning again."""

    def __init__(
        self,
        parts: UplinkParts,
        *,
        name: str = "uplink",
        retention_s: int = RETENTION_S,
        owe: Callable[[Closed], None] | None = None,
        term_met: Callable[[Term], None] | None = None,
        server_lost: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name)
        self._parts = parts
        self._database = parts.database
        self._calls = parts.calls
        self._servers = parts.servers
        self._options = parts.options
        self._progress = parts.progress
        self._clock = parts.clock
        self._alarms = parts.alarms
        self._wanted = parts.wanted
        self._retention_ms = retention_s * 1000
        self._owe = owe
        self._term_met = term_met
        self._server_lost = server_lost
        self._term: Term | None = None
        self._reached = False
        self._rebased = False
        self._cluster = ""
        self._pruned_s = -PRUNE_EVERY_S
        self._pace = Pace(parts.database.gate, self._stopping)
        self.contact_ms: int | None = None

    @property
    def server(self) -> str:
        """The server that is used now."""
        return self._servers[self.state.server_index if self.state is not None else 0]

    @property
    def stuck(self) -> bool:
        """Whether the upload is stopped for good: the journal is forked."""
        return self.state is not None and self.state.phase in _STUCK and self.state.probe is None

    def wake(self, head: Mark) -> None:
        """Tell that the journal has a new head; nothing is sent outside of a time of sync."""
        if self._wanted():
            self.post(Wake(head=head))

    def look_again(self) -> None:
        """Shake hands at once, if it is a time of sync: a server may have gone or come back."""
        if self._wanted():
            self.post(Wake(now=True))

    def sync_now(self) -> Mark:
        """Ask for an upload at once and return the head that it is to reach."""
        with self._database.read() as connection:
            head = read_state(connection).head
        self.post(Wake(head=head, now=True))
        return head

    def begin(self) -> tuple[UplinkState, Iterable[UplinkEvent]]:
        """Return the state as stored; wake at once when it is time to sync."""
        stored = self._stored()
        if self.state is not None and self.state.key != stored.key:  # a rebase of unknown outcome did happen
            was, now = self.state.key.incarnation.hex(), stored.incarnation.hex()
            self._alarms.raise_("journal", "rebased", f"journal {was} is continued as {now}")
        self._owe_closed()
        self._cluster = stored.cluster
        term = None
        if stored.term_n is not None and stored.term_id is not None:
            term = Term(cluster=stored.cluster, n=stored.term_n, id=stored.term_id)
        self._term = term
        with self._database.read() as connection:
            lowest = anchor_of(connection, stored.key)
        self._progress.lost()
        state = UplinkState(
            key=stored.key,
            head=stored.head,
            anchor=lowest or Mark(seq=0, hash=genesis_hash(cluster=stored.cluster, key=stored.key)),
            acked=stored.acked,
            safe=stored.safe,
            term=term,
            cursor_pos=stored.cursor_pos,
        )
        return state, [Wake(head=stored.head)] if self._wanted() else []

    def _owe_closed(self) -> None:
        if self._owe is not None:
            with self._database.read() as connection:
                closed = closed_journals(connection)
            for journal in closed:
                self._owe(journal)

    def step(self, state: UplinkState, event: UplinkEvent) -> tuple[UplinkState, Iterable[UplinkEffect]]:
        """Take one step of the core. A head told before a rebase is of the journal before it."""
        if self._rebased and isinstance(event, Wake) and event.head is not None:
            event = Wake(head=self._stored().head, now=event.now)
        return core.step(state, event, options=self._options)

    def stepped(self, state: UplinkState) -> None:
        """Show whether the servers are reached."""
        if state.phase is Phase.READY:
            self._progress.moved(acked=state.acked, safe=state.safe)
            self._alarms.clear("uplink")
        elif state.phase in (Phase.BACKOFF, Phase.FORKED, Phase.IDLE):
            self._progress.lost()

    def interrupt(self) -> None:
        """End a request that is under way."""
        self._calls.abort()

    def end(self) -> None:
        """Drop the connection."""
        self._calls.close()

    def carry_out(self, effect: UplinkEffect) -> UplinkEvent | None:
        """Carry an effect out."""
        match effect:
            case SendHello() | SendBatch():
                return self._send(effect)
            case SetTimer():
                self.set_timer(effect.delay_ms, TimerFired(timer=effect.timer))
            case Alarm():
                self._alarms.raise_("uplink", effect.code, effect.detail)
            case _:
                return self._in_store(effect)
        return None

    def _in_store(self, effect: PersistProgress | ReadHash | Load | Rebase | Recall | Prune) -> UplinkEvent | None:
        try:
            match effect:
                case Rebase() | Recall():
                    return self.continue_from(effect)
                case Prune():
                    return self._prune(effect)
                case PersistProgress():
                    return self._persist(effect)
                case ReadHash():
                    with self._database.read() as connection:
                        found = hash_at(connection, self._key, effect.seq, cluster=self._cluster)
                    return LocalHash(seq=effect.seq, hash=found)
                case Load():
                    return self._load(effect)
        except SyncrefError as error:
            if isinstance(effect, Rebase | Recall) and unknown_outcome(error):
                self._database.reopen()
                raise  # this core begins anew, with the journal that is stored then
            self.failed(error)
            return None if isinstance(effect, Prune) else StoreFailed(draw=self.draw())

    @property
    def _key(self) -> Key:
        assert self.state is not None
        return self.state.key

    def continue_from(self, effect: Rebase | Recall) -> Rebased | Recalled:
        """Go on under a new key from where the server has the journal otherwise. Raises CommitUnknown."""
        old = self._key
        self._rebased = True  # before the commit: its answer may get lost, and sales go on in the new journal
        self._progress.moved(acked=0, safe=0)
        made = rebase(self._database, old=old, common=effect.common, at_ms=self._clock.now_ms())
        detail = (
            f"journal {old.incarnation.hex()} agrees with the server up to {effect.common.seq}, "
            f"continued as {made.key.incarnation.hex()} with {made.moved} entries journaled anew"
        )
        self._alarms.raise_("journal", "rebased", detail)
        if self._owe is not None and effect.common.seq:
            self._owe(Closed(key=old, common=effect.common))
        return Rebased(key=made.key, head=made.head, genesis=made.genesis)

    def _prune(self, effect: Prune) -> Pruned | None:
        """Let go what is safe, tallied and old enough, looking now and then."""
        if time.monotonic() - self._pruned_s < min(PRUNE_EVERY_S, self._retention_ms / 1000):
            return None
        self._pruned_s = time.monotonic()
        with self._database.read() as connection:
            days = closed_days(connection, safe=effect.safe, before_ms=effect.server_ms - self._retention_ms)
        up_to = prunable(days, self._calls.tallied(self.server)) if days else 0
        mark: Mark | None = None
        while up_to and (mark is None or mark.seq < up_to) and not self._stopping.is_set():
            self._pace.rest()
            mark = prune(self._database, self._key, up_to) or mark
            if mark is None:
                break
        return None if mark is None else Pruned(anchor=mark)

    def _persist(self, effect: PersistProgress) -> UplinkEvent | None:
        self.moved(acked=effect.acked, safe=effect.safe)
        if effect.term != self._term and self._term_met is not None:
            self._term_met(effect.term)
        self._term = effect.term
        self._pace.give_way()
        try:
            with self._database.step(durable=effect.wait) as connection:
                self.store_progress(connection, effect)
        except SyncrefError as error:
            if effect.wait:
                raise
            self.failed(error)
        return Persisted() if effect.wait else None

    def moved(self, *, acked: int, safe: int) -> None:
        """Tell the replies that wait for it how far the server has the journal."""
        self._progress.moved(acked=acked, safe=safe)

    def store_progress(self, connection: Connection, effect: PersistProgress) -> None:
        """Store how far the server has the journal, and its term."""
        persist_progress(
            connection,
            term_n=effect.term.n,
            term_id=effect.term.id,
            acked=effect.acked,
            safe=effect.safe,
            contact_ms=self._clock.now_ms(),
        )

    def _load(self, effect: Load) -> EntriesLoaded:
        self._pace.rest()
        assert self.state is not None
        with self._database.read() as connection:
            found = stretch(
                connection,
                self._key,
                cluster=self._cluster,
                after=effect.after,
                count_max=effect.limit,
                bytes_max=BATCH_BYTES_MAX,
            )
        return EntriesLoaded(
            first_seq=found.first_seq, prev_hash=found.prev_hash, payloads=found.payloads, last=found.last
        )

    def _send(self, effect: SendHello | SendBatch) -> UplinkEvent:
        base = self._servers[effect.server_index]
        try:
            answer = self._hello(base, effect) if isinstance(effect, SendHello) else self._batch(base, effect)
        except Rejected as rejected:
            self.failed(rejected)
            return Refused(
                request=effect.request,
                code=rejected.problem.code,
                draw=self.draw(),
                retry_after_ms=rejected.problem.retry_after_ms or 0,
            )
        except Unreachable as error:
            self.failed(error)
            self._reach(False)
            return TransportFailed(request=effect.request, draw=self.draw())
        self.contact_ms = self._clock.now_ms()
        self.error = None
        self._reach(True)
        return answer

    def _reach(self, reached: bool) -> None:
        """Tell the downlink when a server went, which may be waiting for that server's next change."""
        lost = self._reached and not reached
        self._reached = reached
        if lost and self._server_lost is not None and not self._stopping.is_set():
            self._server_lost()

    def _hello(self, base: str, effect: SendHello) -> HelloAnswered:
        assert self.state is not None
        state, stored = self.state, self._stored()
        hello = Hello(
            till=state.key.till,
            incarnation=state.key.incarnation,
            term=None if state.term is None else _wire(state.term),
            head_seq=effect.head.seq,
            head_hash=effect.head.hash,
            acked=state.acked,
            safe=state.safe,
            cursor_pos=stored.cursor_pos,
        )
        answer = self._calls.hello(base, hello)
        head = stored.head if stored.key == state.key else None
        return HelloAnswered(request=effect.request, answer=answer, draw=self.draw(), head=head)

    def _batch(self, base: str, effect: SendBatch) -> BatchAcked:
        assert self.state is not None
        batch = Batch(
            session=effect.session,
            term=_wire(effect.term),
            till=self.state.key.till,
            incarnation=self.state.key.incarnation,
            first_seq=effect.first_seq,
            prev_hash=effect.prev_hash,
            payloads=effect.payloads,
        )
        return BatchAcked(ack=self._calls.upload(base, batch), draw=self.draw())

    def _stored(self) -> TillState:
        with self._database.read() as connection:
            return read_state(connection)


def _wire(term: Term) -> TermWire:
    return TermWire(cluster=term.cluster, n=term.n, id=term.id)
