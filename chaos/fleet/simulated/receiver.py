"""Brings a till's masters: the downlink core on the simulated network."""

from __future__ import annotations

from collections import deque

from chaos.fleet.simulated.feed_desk import ChunkAsked, FeedAsked
from chaos.fleet.simulated.hosts import TillHost
from chaos.fleet.simulated.network import REQUEST_TIMEOUT_MS
from chaos.fleet.simulated.staging import held_against
from syncref.core import downlink
from syncref.core import downlink_messages as down
from syncref.core.ingest import Refusal
from syncref.core.step import replace
from syncref.wire.sync import FeedPage, LoadChunk


class Receiver:
    """One sync of the masters. Two may overlap on one till: the schedule's and one asked for by hand."""

    def __init__(self, till: TillHost, *, resume: bool) -> None:
        self.till = till
        self.boot = till.boot
        state = till.store.downlink_state()
        self.state = state if resume else replace(state, run=None)

    def follow(self) -> None:
        """Keep up with the server."""
        self.step(down.Wake(follow=True))

    def once(self) -> None:
        """Sync to the end of one run, from where the till stands."""
        if self.state.phase is down.DownPhase.IDLE:
            state = self.till.store.downlink_state()
            self.state = replace(state, run=None, request=self.state.request, timer=self.state.timer)
        self.step(down.Wake())

    def sleep(self) -> None:
        """End the sync window."""
        self.step(down.Slept())

    def step(self, event: down.DownlinkEvent) -> None:
        """Step the core and carry its effects out."""
        following: deque[down.DownlinkEvent] = deque([event])
        options = self.till.world.downlink_options
        while following:
            self.state, effects = downlink.step(self.state, following.popleft(), options=options)
            for effect in effects:
                self.till.boundary(effect)
                after = self.do(effect)
                if after is not None:
                    following.append(after)

    def do(self, effect: down.DownlinkEffect) -> down.DownlinkEvent | None:
        """Carry one effect out; return the event that answers it at once."""
        till = self.till
        match effect:
            case down.Fetch() | down.FetchChunk():
                self._ask(effect)
            case down.Apply():
                return self.apply(effect)
            case down.Stage():
                return self._stage(effect)
            case down.DropStage():
                if till.store.run is not None and till.store.run.id == effect.run:
                    till.store.write("drop", sync=False)
            case down.StoreChunk():
                return self._chunk(effect)
            case down.ApplyUrgent():
                if till.store.written_since(effect.generation):
                    return self._conflicted()
                till.store.write("urgent", effect)
                till.world.watch.rows_written(till)
                return down.UrgentApplied(generation=till.store.generation)
            case down.TermMet():
                till.met_term(effect.term)
            case down.SetTimer():
                till.world.loop.after(effect.delay_ms, self._timer, effect.timer)
            case down.Alarm():
                till.note(f"alarm {effect.code}: {effect.detail}")
                till.world.watch.alarm(till, effect.code)
        return None

    def _chunk(self, effect: down.StoreChunk) -> down.DownlinkEvent:
        if self.till.store.outrun(effect):
            return self._conflicted()
        self.till.store.write("chunk", effect)
        return down.ChunkStored()

    def _stage(self, effect: down.Stage) -> down.DownlinkEvent:
        store = self.till.store
        if held_against(store.holder, effect):
            return self._conflicted()
        store.write("stage", effect.run, effect.rows)
        return down.Staged()

    def apply(self, effect: down.Apply) -> down.DownlinkEvent:
        """End a run."""
        till, store, world = self.till, self.till.store, self.till.world
        if store.conflicts(effect):
            return self._conflicted()
        own = store.run is not None and store.run.id == effect.run.id
        staged = tuple(store.stage.values()) if own else ()
        self.write(effect)
        mismatched = store.mismatched(effect)
        if world.transcript is not None and (effect.rows or mismatched):
            till.note(f"applies a run up to {effect.cursor.pos}, mismatched: {mismatched}")
        world.watch.applied(till, effect, staged)
        return down.Applied(mismatched=mismatched, fresh_id=world.fresh(), draw=world.draw.random())

    def _conflicted(self) -> down.DownlinkEvent:
        store = self.till.store
        self.till.note("finds that another run was faster")
        return down.ApplyConflicted(
            cursor=store.cursor,
            urgent_pos=store.urgent_pos,
            loaded=store.loaded,
            holder=store.holder,
            loading=store.loading,
            draw=self.till.world.draw.random(),
        )

    def write(self, effect: down.Apply) -> None:
        """Store rows and cursor in one transaction."""
        self.till.store.write("apply", effect)

    def _timer(self, timer: int) -> None:
        if self.till.boot == self.boot and timer == self.state.timer:
            self.till.guarded(self.step, down.TimerFired(timer=timer))

    def _ask(self, effect: down.Fetch | down.FetchChunk) -> None:
        asked: FeedAsked | ChunkAsked
        wait_ms = 0
        if isinstance(effect, down.FetchChunk):
            asked = ChunkAsked(
                table=effect.table, after=effect.after, start_pos=effect.start_pos, limit=effect.limit
            )
        else:
            wait_ms = effect.wait_ms
            asked = FeedAsked(
                key=self.till.store.journal.key,
                pos=effect.pos,
                term=effect.term,
                scan_to=effect.scan_to,
                after=effect.after,
                urgent_pos=effect.urgent_pos,
                wait_ms=wait_ms,
                limit=effect.limit,
            )
        request = effect.request
        world = self.till.world
        generation = self.till.store.generation
        asked_ms = world.loop.now

        def done(answer: object) -> None:
            took_ms = world.loop.now - asked_ms
            self.till.guarded(self._heard, request, generation, answer, took_ms)

        def failed() -> None:
            took_ms = max(0, world.loop.now - asked_ms - wait_ms)
            failure = down.TransportFailed(request=request, draw=world.draw.random(), took_ms=took_ms)
            self.till.guarded(self.step, failure)

        what = "chunk" if isinstance(effect, down.FetchChunk) else "feed"
        timeout = wait_ms + REQUEST_TIMEOUT_MS
        self.till.links[effect.server_index].ask(what, asked, timeout_ms=timeout, done=done, failed=failed)

    def _heard(self, request: int, generation: int, answer: object, took_ms: int) -> None:
        world = self.till.world
        draw = world.draw.random()
        match answer:
            case FeedPage():
                self.step(
                    down.PageArrived(
                        request=request,
                        page=answer,
                        fresh_id=world.fresh(),
                        generation=generation,
                        took_ms=took_ms,
                        draw=draw,
                    )
                )
            case LoadChunk():
                self.step(down.ChunkArrived(request=request, chunk=answer, took_ms=took_ms, draw=draw))
            case Refusal():
                self.step(down.Refused(request=request, code=answer.code, draw=draw))
