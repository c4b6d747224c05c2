"""The downlink's shell: carries the downlink core's effects out against the till's database and the servers.

Keeps: a run becomes visible whole, with its cursor; staging stops first when the disk fills, then downloads; the
feed is held open while there is nothing new, and a sync by hand cuts that short.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable

from syncref.core import downlink as core
from syncref.core.downlink_messages import (
    Alarm,
    Applied,
    Apply,
    ApplyConflicted,
    ApplyUrgent,
    ChunkArrived,
    ChunkStored,
    DownlinkEffect,
    DownlinkEvent,
    DownlinkOptions,
    DownlinkState,
    DropStage,
    Fetch,
    FetchChunk,
    PageArrived,
    Refused,
    SetTimer,
    Stage,
    Staged,
    StoreChunk,
    StoreFailed,
    TermMet,
    TimerFired,
    TransportFailed,
    UrgentApplied,
    Wake,
)
from syncref.domain.identity import ID_BYTES, Term
from syncref.errors import Busy, DiskFull, SyncrefError
from syncref.logs import event as log_event
from syncref.store.till_apply import Outcome, apply, apply_urgent, cursor_of
from syncref.store.till_load import read_loading, store_chunk
from syncref.store.till_open import TillDatabase
from syncref.store.till_reserve import Reserve
from syncref.store.till_stage import clear, read_run, stage
from syncref.store.till_state import TillState, read_state
from syncref.till.alarms import Alarms
from syncref.till.clock import TillClock
from syncref.till.deadline import Rejected, Unreachable
from syncref.till.pace import Pace
from syncref.till.servers import ServerCalls
from syncref.till.worker import Worker

_MERGE_LOOK_S = 0.02
_log = logging.getLogger("syncref.till")


class Downlink(Worker[DownlinkState, DownlinkEvent, DownlinkEffect]):
    """Brings the masters to one till."""

    def __init__(
        self,
        *,
        database: TillDatabase,
        calls: ServerCalls,
        servers: tuple[str, ...],
        options: DownlinkOptions,
        clock: TillClock,
        alarms: Alarms,
        reserve: Reserve,
        continuous: bool,
        merge_soon: Callable[[], None],
        term_met: Callable[[Term], None],
        contact_changed: Callable[[], None],
    ) -> None:
        super().__init__("downlink")
        self._database = database
        self._calls = calls
        self._servers = servers
        self._options = options
        self._clock = clock
        self._alarms = alarms
        self._reserve = reserve
        self._continuous = continuous
        self._merge_soon = merge_soon
        self._term_met = term_met
        self._contact_changed = contact_changed
        self._reached = False
        self._woken = threading.Event()
        self._pace = Pace(database.gate, self._stopping)
        self._hurry = threading.Event()
        self._holding = False
        self.runs = 0
        self.newer_rows = 0
        self.contact_ms: int | None = None

    @property
    def position(self) -> int:
        """The cursor's position; 0 before the first load."""
        cursor = None if self.state is None else self.state.cursor
        return 0 if cursor is None else cursor.pos

    def sync_now(self) -> None:
        """Ask for the masters at once, even while the server holds an answer back."""
        self._hurry.set()
        if not self._woken.is_set():  # as long as the server is followed nothing is taken from the inbox
            self._woken.set()
            self.post(Wake())
        if self._holding:
            self._calls.abort()

    def ask_now(self) -> None:
        """Have what the server holds back answered at once: that server may be gone, or not live any more."""
        if self._holding:
            self._hurry.set()
            self._calls.abort()

    def begin(self) -> tuple[DownlinkState, Iterable[DownlinkEvent]]:
        """Return the state as stored; follow the server when the till syncs continuously."""
        with self._database.read() as connection:
            stored = read_state(connection)
            run = read_run(connection, cluster=stored.cluster)
            loading = read_loading(connection, cluster=stored.cluster)
        cursor = cursor_of(stored)
        if run is not None and (cursor is None or run.from_pos != cursor.pos or run.term != cursor.term):
            run = None  # of another time: its stage is discarded when the next run begins
        state = DownlinkState(
            cursor=cursor,
            loaded=stored.loaded,
            term=_term(stored),
            urgent_pos=stored.urgent_pos,
            run=run,
            loading=None if cursor is not None else loading,
        )
        self._pace.flat_out = not stored.loaded
        return state, [Wake(follow=True)] if self._continuous else []

    def step(self, state: DownlinkState, event: DownlinkEvent) -> tuple[DownlinkState, Iterable[DownlinkEffect]]:
        """Take one step of the core."""
        if isinstance(event, Wake):
            self._woken.clear()
        return core.step(state, event, options=self._options)

    def interrupt(self) -> None:
        """End a request that is under way."""
        self._calls.abort()

    def end(self) -> None:
        """Drop the connection."""
        self._calls.close()

    def carry_out(self, effect: DownlinkEffect) -> DownlinkEvent | None:
        """Carry an effect out."""
        match effect:
            case Fetch() | FetchChunk():
                return self._ask(effect)
            case SetTimer():
                self.set_timer(effect.delay_ms, TimerFired(timer=effect.timer))
            case Alarm():
                self._alarms.raise_("downlink", effect.code, effect.detail)
            case TermMet():
                self._term_met(effect.term)
            case DropStage():
                self._drop_stage()
            case _:
                return self._in_store(effect)
        return None

    # --- servers

    def _ask(self, effect: Fetch | FetchChunk) -> DownlinkEvent:
        room = self._reserve.room()
        if room in ("no_downloads", "reserve_used"):
            self.failed(DiskFull(f"downloads have stopped: no room left at {self._database.where}"))
            return TransportFailed(request=effect.request, draw=self.draw())
        base = self._servers[effect.server_index]
        began_s = time.monotonic()
        try:
            answer = self._chunk(base, effect) if isinstance(effect, FetchChunk) else self._page(base, effect)
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
            held_ms = effect.wait_ms if isinstance(effect, Fetch) else 0
            took_ms = max(0, _ms_since(began_s) - held_ms)
            return TransportFailed(request=effect.request, draw=self.draw(), took_ms=took_ms)
        self.contact_ms = self._clock.now_ms()
        self.error = None
        self._reach(True)
        self._pace.give_way()
        self._pace.start()
        return answer

    def _reach(self, reached: bool) -> None:
        """Tell the uplink when a server went or came back, so that it need not find out by itself."""
        if reached != self._reached and not self._stopping.is_set():
            self._reached = reached
            self._contact_changed()

    def _chunk(self, base: str, effect: FetchChunk) -> ChunkArrived:
        began_s = time.monotonic()
        chunk = self._calls.load(
            base, table=effect.table, after=effect.after, start_pos=effect.start_pos, limit=effect.limit
        )
        return ChunkArrived(request=effect.request, chunk=chunk, took_ms=_ms_since(began_s), draw=self.draw())

    def _page(self, base: str, effect: Fetch) -> PageArrived:
        while True:
            hurry = self._hurry.is_set()
            self._hurry.clear()
            self._holding = effect.wait_ms > 0 and not hurry
            began_s = time.monotonic()
            try:
                page = self._calls.feed(
                    base,
                    pos=effect.pos,
                    term=effect.term,
                    scan_to=effect.scan_to,
                    after=effect.after,
                    urgent_pos=effect.urgent_pos,
                    wait_ms=0 if hurry else effect.wait_ms,
                    limit=effect.limit,
                )
            except Unreachable:
                if self._hurry.is_set() and self._holding and not self._stopping.is_set():
                    continue  # cut short by a sync by hand: the same question, without waiting
                raise
            finally:
                self._holding = False
            return PageArrived(
                request=effect.request,
                page=page,
                fresh_id=secrets.token_bytes(ID_BYTES),
                took_ms=_ms_since(began_s),
                draw=self.draw(),
            )

    # --- store

    def _in_store(self, effect: ApplyUrgent | Stage | StoreChunk | Apply) -> DownlinkEvent:
        try:
            match effect:
                case ApplyUrgent():
                    apply_urgent(self._database, effect)
                    return UrgentApplied()
                case Stage():
                    self._check_room(len(effect.rows))
                    self._wait_merged()
                    stage(self._database, effect.run, effect.rows, rest=self._pace.rest)
                    return Staged()
                case StoreChunk():
                    self._check_room(len(effect.rows))
                    return store_chunk(self._database, effect) or ChunkStored()
                case Apply():
                    return self._apply(effect)
        except SyncrefError as error:
            if isinstance(error, DiskFull):
                self._reserve.refused()
            self.failed(error)
            return StoreFailed(draw=self.draw())

    def _apply(self, effect: Apply) -> DownlinkEvent:
        self._wait_merged()
        outcome = apply(self._database, effect, now_ms=self._clock.now_ms(), rest=self._pace.rest)
        if outcome.conflict:
            return ApplyConflicted(cursor=outcome.cursor, urgent_pos=outcome.urgent_pos, loaded=outcome.loaded)
        if outcome.merging:
            self._merge_soon()
        self._pace.flat_out = not outcome.loaded
        self.runs += 1
        self._report(effect, outcome)
        return Applied(mismatched=outcome.mismatched, fresh_id=secrets.token_bytes(ID_BYTES), draw=self.draw())

    def _report(self, effect: Apply, outcome: Outcome) -> None:
        if outcome.regressed:
            tables = ", ".join(effect.run.replace)
            self.newer_rows += outcome.regressed
            log_event(_log, logging.WARNING, "newer rows replaced", rows=outcome.regressed, tables=tables)
            self._alarms.raise_("masters", "newer_rows", f"{self.newer_rows} were newer here than on the server")
        if not outcome.mismatched:
            self._alarms.clear("downlink")

    def _check_room(self, rows: int) -> None:
        if rows and self._reserve.room() != "ok":
            raise DiskFull(f"staging has stopped: little room left at {self._database.where}")

    def _drop_stage(self) -> None:
        try:
            with self._database.step(durable=False) as connection:
                clear(connection)
        except Busy:
            return  # what is staged is applied already, and being merged
        except SyncrefError as error:
            self.failed(error)

    def _wait_merged(self) -> None:
        while not self._stopping.is_set():
            with self._database.read() as connection:
                if not read_state(connection).overlay:
                    return
            self._merge_soon()
            self._stopping.wait(_MERGE_LOOK_S)


def _ms_since(began_s: float) -> int:
    return int((time.monotonic() - began_s) * 1000)


def _term(stored: TillState) -> Term | None:
    if stored.term_n is None or stored.term_id is None:
        return None
    return Term(cluster=stored.cluster, n=stored.term_n, id=bytes(stored.term_id))
