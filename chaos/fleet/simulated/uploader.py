"""Sends one journal of a till: the uplink core on the simulated network."""

from __future__ import annotations

from collections import deque

from chaos.fleet.simulated.hosts import TillHost
from chaos.fleet.simulated.network import REQUEST_TIMEOUT_MS
from syncref.core import uplink
from syncref.core import uplink_messages as up
from syncref.core.ingest import Refusal
from syncref.core.uplink_messages import UplinkState
from syncref.domain.identity import Mark, Term
from syncref.wire.sync import Ack, Batch, Hello, HelloAnswer, TermWire


class Uploader:
    """The uplink of one journal: the current one, or one that another continues, as long as it is kept."""

    def __init__(self, till: TillHost, state: UplinkState) -> None:
        self.till = till
        self.state = state
        self.boot = till.boot
        self.events: deque[up.UplinkEvent] = deque()
        self.stepping = False
        self.sightings: deque[tuple[int, int]] = deque()

    @property
    def current(self) -> bool:
        """Whether the till still journals into it."""
        return self.state.key == self.till.store.journal.key

    def wake(self, *, now: bool) -> None:
        """Let it run."""
        self.step(up.Wake(head=self.till.store.journal.head if self.current else None, now=now))

    def sold(self, head: Mark, *, wake: bool) -> None:
        """Take a new head; send it, if the till is to sync now."""
        if wake or self.state.phase is not up.Phase.IDLE:
            self.step(up.Wake(head=head))

    def sleep(self) -> None:
        """End the sync window."""
        self.step(up.Slept())

    def met_term(self, term: Term) -> None:
        """Take notice of the feed's term."""
        self.step(up.TermSeen(term=term))

    def step(self, event: up.UplinkEvent) -> None:
        """Step the core; effects may answer with events, which wait for their turn."""
        self.events.append(event)
        if self.stepping:
            return
        self.stepping = True
        events = self.events
        till = self.till
        options = till.world.uplink_options
        while events:
            self.state, effects = uplink.step(self.state, events.popleft(), options=options)
            for effect in effects:
                till.boundary(effect)
                self.do(effect)
        self.stepping = False

    def do(self, effect: up.UplinkEffect) -> None:
        """Carry one effect out."""
        till = self.till
        match effect:
            case up.PersistProgress():
                self._persist(effect)
            case up.Load():
                self._load(effect)
            case up.SendBatch():
                self._send_batch(effect)
            case up.SetTimer():
                till.world.loop.after(effect.delay_ms, self._timer, effect.timer)
            case up.SendHello():
                self._send_hello(effect)
            case up.ReadHash():
                found = till.store.hash_at(self.state.key, effect.seq)
                self.events.append(up.LocalHash(seq=effect.seq, hash=found))
            case up.Prune():
                self._prune(effect)
            case up.Rebase():
                self._rebase(effect)
            case up.Recall():
                self._recall(effect)
            case up.Alarm():
                till.note(f"alarm {effect.code}: {effect.detail}")
                till.world.watch.alarm(till, effect.code)

    def _persist(self, effect: up.PersistProgress) -> None:
        """Store how far it got; a term binds the till's other journals as well, and never goes down."""
        till = self.till
        stored = till.store.term
        if stored is not None and effect.term.n < stored.n:
            self.events.append(up.StoreFailed(draw=till.world.draw.random()))
            self.events.append(up.TermSeen(term=stored))
            return
        till.store.persist_progress(self.state.key, effect)
        if effect.wait:
            self.events.append(up.Persisted())
            till.met_term(effect.term)

    def _timer(self, timer: int) -> None:
        if self.till.boot == self.boot and timer == self.state.timer:
            self.till.guarded(self.step, up.TimerFired(timer=timer))

    def _load(self, effect: up.Load) -> None:
        previous, payloads, last = self.till.store.load(self.state.key, effect.after, effect.limit)
        first = effect.after + 1
        self.events.append(up.EntriesLoaded(first_seq=first, prev_hash=previous, payloads=payloads, last=last))

    def _send_hello(self, effect: up.SendHello) -> None:
        state = self.state
        term = state.term
        hello = Hello(
            till=state.key.till,
            incarnation=state.key.incarnation,
            term=None if term is None else TermWire(cluster=term.cluster, n=term.n, id=term.id),
            head_seq=effect.head.seq,
            head_hash=effect.head.hash,
            acked=state.acked,
            safe=state.safe,
            cursor_pos=0,
        )
        self._ask("hello", effect.server_index, effect.request, hello)

    def _send_batch(self, effect: up.SendBatch) -> None:
        key = self.state.key
        self.till.world.watch.sending(self.till, key, effect)
        batch = Batch(
            session=effect.session,
            term=TermWire(cluster=effect.term.cluster, n=effect.term.n, id=effect.term.id),
            till=key.till,
            incarnation=key.incarnation,
            first_seq=effect.first_seq,
            prev_hash=effect.prev_hash,
            payloads=effect.payloads,
        )
        if self.till.world.transcript is not None:
            last = effect.first_seq + len(effect.payloads) - 1
            self.till.note(f"sends {effect.first_seq}..{last} to server {'AB'[effect.server_index]}")
        self._ask("batch", effect.server_index, effect.request, batch)

    def _ask(self, what: str, index: int, request: int, message: object) -> None:
        till = self.till

        def done(answer: object) -> None:
            till.guarded(self._heard, request, answer)

        def failed() -> None:
            failure = up.TransportFailed(request=request, draw=till.world.draw.random())
            till.guarded(self.step, failure)

        till.links[index].ask(what, message, timeout_ms=REQUEST_TIMEOUT_MS, done=done, failed=failed)

    def _heard(self, request: int, answer: object) -> None:
        draw = self.till.world.draw.random()
        transcribing = self.till.world.transcript is not None
        match answer:
            case HelloAnswer():
                if transcribing:
                    self.till.note(f"hears term {answer.term.n}, durable {answer.durable_seq}")
                self.step(up.HelloAnswered(request=request, answer=answer, draw=draw))
            case Ack():
                if transcribing:
                    self.till.note(f"hears ack {answer.seq}")
                self.step(up.BatchAcked(ack=answer, draw=draw))
            case Refusal():
                if transcribing:
                    self.till.note(f"hears {answer.code}")
                self.step(up.Refused(request=request, code=answer.code, draw=draw))

    def _prune(self, effect: up.Prune) -> None:
        """Prune what has been safe for the retention, by the server's clock."""
        if not self.current:
            return
        self.sightings.append((effect.server_ms, effect.safe))
        upto = self.till.store.anchor.seq
        until = effect.server_ms - self.till.world.retention_ms
        while self.sightings and self.sightings[0][0] <= until:
            upto = max(upto, self.sightings.popleft()[1])
        self.prune(min(upto, effect.safe))

    def prune(self, upto: int) -> None:
        """Let everything up to a sequence go."""
        till = self.till
        if upto > till.store.anchor.seq:
            till.world.watch.pruning(till, upto)
            till.store.write("prune", upto)
            till.note(f"prunes up to {upto}")
            self.events.append(up.Pruned(anchor=till.store.anchor))

    def _recall(self, effect: up.Recall) -> None:
        """Journal anew what a server has otherwise of a journal that is continued."""
        self.till.recall(self.state.key, effect.common)
        self.events.append(up.Recalled(head=effect.common))

    def _rebase(self, effect: up.Rebase) -> None:
        """Continue the journal under a new key; what was common is still sent where it is missing."""
        till = self.till
        till.rebase(effect.common)
        old = till.store.elder_state(self.state.key)
        store = till.store
        self.events.append(up.Rebased(key=store.journal.key, head=store.journal.head, genesis=store.anchor))
        if old is not None:
            till.owe(old)
