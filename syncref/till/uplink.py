"""The uplink's shell: carries the uplink core's effects out against the till's database and the servers.

Keeps: what a message rests on is stored before it is sent; a backlog of any length goes through memory batch by
batch; a fork stops the upload with an alarm, and the till goes on selling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
    ReadHash,
    Rebase,
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
from syncref.domain.identity import Mark, Term, genesis_hash
from syncref.errors import SyncrefError
from syncref.store.till_journal import hash_at, persist_progress, stretch
from syncref.store.till_open import TillDatabase
from syncref.store.till_state import TillState, read_state
from syncref.till.alarms import Alarms
from syncref.till.clock import TillClock
from syncref.till.deadline import Rejected, Unreachable
from syncref.till.pace import Pace
from syncref.till.progress import Progress
from syncref.till.servers import ServerCalls
from syncref.till.worker import Worker
from syncref.wire.sync import BATCH_BYTES_MAX, Batch, Hello, TermWire

_STUCK = frozenset({Phase.FORKED})


class Uplink(Worker[UplinkState, UplinkEvent, UplinkEffect]):
    """Sends one till's journal."""

    def __init__(
        self,
        *,
        database: TillDatabase,
        calls: ServerCalls,
        servers: tuple[str, ...],
        options: UplinkOptions,
        progress: Progress,
        clock: TillClock,
        alarms: Alarms,
        wanted: Callable[[], bool],
    ) -> None:
        super().__init__("uplink")
        self._database = database
        self._calls = calls
        self._servers = servers
        self._options = options
        self._progress = progress
        self._clock = clock
        self._alarms = alarms
        self._wanted = wanted
        self._pace = Pace(database.gate, self._stopping)
        self._cluster = ""
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
        self._cluster = stored.cluster
        term = None
        if stored.term_n is not None and stored.term_id is not None:
            term = Term(cluster=stored.cluster, n=stored.term_n, id=stored.term_id)
        self._progress.lost()
        state = UplinkState(
            key=stored.key,
            head=stored.head,
            anchor=Mark(seq=0, hash=genesis_hash(cluster=stored.cluster, key=stored.key)),
            acked=stored.acked,
            safe=stored.safe,
            term=term,
            cursor_pos=stored.cursor_pos,
        )
        return state, [Wake(head=stored.head)] if self._wanted() else []

    def step(self, state: UplinkState, event: UplinkEvent) -> tuple[UplinkState, Iterable[UplinkEffect]]:
        """Take one step of the core."""
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
            case Rebase():
                detail = f"agrees with the server up to {effect.common.seq}; the upload is stopped"
                self._alarms.raise_("uplink", "forked", detail)
            case Prune():
                pass  # nothing is pruned before the standbys have it, and this version has none
            case _:
                return self._in_store(effect)
        return None

    def _in_store(self, effect: PersistProgress | ReadHash | Load) -> UplinkEvent | None:
        try:
            match effect:
                case PersistProgress():
                    return self._persist(effect)
                case ReadHash():
                    with self._database.read() as connection:
                        found = hash_at(connection, read_state(connection), effect.seq)
                    return LocalHash(seq=effect.seq, hash=found)
                case Load():
                    return self._load(effect)
        except SyncrefError as error:
            self.failed(error)
            return StoreFailed(draw=self.draw())

    def _persist(self, effect: PersistProgress) -> UplinkEvent | None:
        self._progress.moved(acked=effect.acked, safe=effect.safe)
        self._pace.give_way()
        try:
            with self._database.step(durable=effect.wait) as connection:
                persist_progress(
                    connection,
                    term_n=effect.term.n,
                    term_id=effect.term.id,
                    acked=effect.acked,
                    safe=effect.safe,
                    contact_ms=self._clock.now_ms(),
                )
        except SyncrefError as error:
            if effect.wait:
                raise
            self.failed(error)
        return Persisted() if effect.wait else None

    def _load(self, effect: Load) -> EntriesLoaded:
        self._pace.rest()
        assert self.state is not None
        with self._database.read() as connection:
            found = stretch(
                connection,
                self.state.key,
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
            return TransportFailed(request=effect.request, draw=self.draw())
        self.contact_ms = self._clock.now_ms()
        self.error = None
        return answer

    def _hello(self, base: str, effect: SendHello) -> HelloAnswered:
        assert self.state is not None
        state = self.state
        hello = Hello(
            till=state.key.till,
            incarnation=state.key.incarnation,
            term=None if state.term is None else _wire(state.term),
            head_seq=effect.head.seq,
            head_hash=effect.head.hash,
            acked=state.acked,
            safe=state.safe,
            cursor_pos=self._stored().cursor_pos,
        )
        answer = self._calls.hello(base, hello)
        return HelloAnswered(request=effect.request, answer=answer, draw=self.draw())

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
