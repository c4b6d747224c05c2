"""The downlink: brings the masters to a till, one committed server state after another.

A run is staged and applied whole with its cursor, or not at all, so a till never shows half a document; a
key never goes to a lower version within a term; what was staged in one term is not mixed with another; and
every run, even an empty one, is checked against the server's digests, so no difference stays unnoticed.
However slow the line is, a page short enough for it comes through in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    DownlinkStep,
    DownPhase,
    DropStage,
    Fetch,
    FetchChunk,
    Loading,
    PageArrived,
    Refused,
    Run,
    SetTimer,
    Slept,
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
from syncref.core.step import Step, full_jitter_ms, replace
from syncref.core.terms import distrust
from syncref.domain.identity import Cursor, Term
from syncref.wire.sync import FeedRow, TermWire

CONFLICT_DOUBLINGS_MAX = 8
SHORTENED_MAX = 8  # of 5,000 rows 19 are left: what a line can't carry in time then, it carries hardly anything
ASKING = frozenset({DownPhase.FETCHING, DownPhase.LOADING})


def step(state: DownlinkState, event: DownlinkEvent, *, options: DownlinkOptions) -> DownlinkStep:
    """Advance the downlink. An event that answers nothing outstanding changes nothing."""
    return _HANDLERS[type(event)](state, event, options)


def _stay(state: DownlinkState) -> DownlinkStep:
    return Step(state, ())


# --- being asked


def _wake(state: DownlinkState, event: Wake, options: DownlinkOptions) -> DownlinkStep:
    state = replace(state, follow=state.follow or event.follow)
    if state.phase in (DownPhase.IDLE, DownPhase.BACKOFF):
        return _ask(state, options)
    return _stay(state)


def _slept(state: DownlinkState, event: Slept, options: DownlinkOptions) -> DownlinkStep:
    if state.phase not in (*ASKING, DownPhase.BACKOFF):
        return _stay(replace(state, follow=False))
    idle = replace(state, phase=DownPhase.IDLE, follow=False, page=None, attempt=0)
    return _stay(replace(idle, request=state.request + 1, timer=state.timer + 1))


def _timer(state: DownlinkState, event: TimerFired, options: DownlinkOptions) -> DownlinkStep:
    if event.timer != state.timer or state.phase is not DownPhase.BACKOFF:
        return _stay(state)
    return _ask(state, options)


def _ask(state: DownlinkState, options: DownlinkOptions, *, wait_ms: int = 0) -> DownlinkStep:
    """Ask for whatever comes next: a chunk while loading, else a page of the run or of a new one."""
    if state.cursor is None and state.loading is None:
        state = replace(state, loading=Loading(tables=options.tables), run=None)
    after = replace(state, request=state.request + 1, timer=state.timer + 1, page=None)
    if after.loading is not None:
        loading = after.loading
        chunk = FetchChunk(
            request=after.request,
            server_index=after.server_index,
            table=loading.tables[0],
            after=loading.after,
            start_pos=loading.start_pos,
            limit=_limit(after, options),
        )
        return Step(replace(after, phase=DownPhase.LOADING), (chunk,))
    assert after.cursor is not None
    run = after.run
    fetch = Fetch(
        request=after.request,
        server_index=after.server_index,
        pos=after.cursor.pos if run is None else run.round_from,
        term=after.cursor.term if run is None else run.term,
        scan_to=None if run is None else run.scan_to,
        after=None if run is None else run.after,
        urgent_pos=after.urgent_pos,
        wait_ms=wait_ms,
        limit=_limit(after, options),
    )
    return Step(replace(after, phase=DownPhase.FETCHING), (fetch,))


def _limit(state: DownlinkState, options: DownlinkOptions) -> int:
    return max(1, options.page_rows >> state.shortened)


def _came(state: DownlinkState, *, full: bool, took_ms: int, options: DownlinkOptions) -> DownlinkState:
    """Take note of an answer. Only one that its limit ended says something of the line: more, if it came fast.

    After some that came slowly a longer one is tried all the same: long ways are slow without being narrow.
    """
    if not state.shortened or not full:
        return state
    if took_ms <= options.good_ms or state.steady + 1 >= options.steady_pages:
        return replace(state, shortened=state.shortened - 1, steady=0)
    return replace(state, steady=state.steady + 1)


# --- pages


def _page(state: DownlinkState, event: PageArrived, options: DownlinkOptions) -> DownlinkStep:
    if event.request != state.request or state.phase is not DownPhase.FETCHING:
        return _stay(state)
    state = _came(state, full=event.page.after is not None, took_ms=event.took_ms, options=options)
    term = _term(event.page.term)
    wrong = distrust(state.term, term, cluster=options.cluster)
    if wrong is not None:
        return _elsewhere(state, event.draw, options, alarm=Alarm(code=wrong[0], detail=wrong[1]))
    met: tuple[DownlinkEffect, ...] = ()
    if term != state.term:
        met = (TermMet(term=term),)
        state = replace(state, term=term)
    if state.run is not None and state.run.term != term:
        asked = _ask(replace(state, run=None), options)
        return Step(asked.state, (*met, _drop(state), *asked.effects))
    accepted = _accept(state, event, term, options)
    return Step(accepted.state, (*met, *accepted.effects))


def _accept(state: DownlinkState, event: PageArrived, term: Term, options: DownlinkOptions) -> DownlinkStep:
    """Take a page of the run's own term. A server may begin a run further back than it was asked to."""
    assert state.cursor is not None
    page, run, pos = event.page, state.run, state.cursor.pos
    if run is None:
        run = Run(id=event.fresh_id, term=term, from_pos=pos, round_from=min(pos, page.from_pos))
    if page.from_pos != run.round_from or (page.scan_to != run.scan_to and run.scan_to is not None):
        alarm = Alarm(code="feed_answer_odd", detail=f"page of {page.from_pos}, asked {run.round_from}")
        return _elsewhere(state, event.draw, options, alarm=alarm)
    if page.tombstone_floor > run.round_from:
        asked = _refetch(replace(state, run=None), options.tables, event.fresh_id, options)
        alarm = Alarm(code="below_floor", detail=f"{run.round_from} is below {page.tombstone_floor}")
        return Step(asked.state, (alarm, _drop(state), *asked.effects))
    state = replace(state, run=run, page=page, generation=event.generation)
    if page.urgent:
        urgent = ApplyUrgent(term=term, rows=page.urgent, urgent_pos=page.urgent_pos, generation=event.generation)
        return Step(replace(state, phase=DownPhase.URGENT), (urgent,))
    return _take(state)


def _urgent_applied(state: DownlinkState, event: UrgentApplied, options: DownlinkOptions) -> DownlinkStep:
    if state.phase is not DownPhase.URGENT:
        return _stay(state)
    return _take(replace(state, generation=event.generation))


def _take(state: DownlinkState) -> DownlinkStep:
    """Stage a page, or end the run with it."""
    page, run = state.page, state.run
    assert page is not None
    assert run is not None
    urgent_pos = page.urgent_pos or state.urgent_pos
    if not page.last:
        if page.after is not None:
            run = replace(run, scan_to=page.scan_to, after=page.after, pages=run.pages + 1)
        else:
            run = replace(run, round_from=page.pos, scan_to=None, after=None, pages=run.pages + 1)
        after = replace(state, run=run, page=None, phase=DownPhase.STAGING, urgent_pos=urgent_pos)
        return Step(after, (_stage(state, run, page.rows),))
    apply = Apply(
        run=run,
        rows=page.rows,
        expected=state.cursor,
        cursor=Cursor(term=run.term, pos=page.pos),
        urgent_pos=urgent_pos,
        digests=page.digests,
        stock_seq=page.stock_seq,
        generation=state.generation,
    )
    return Step(replace(state, phase=DownPhase.APPLYING, urgent_pos=urgent_pos), (apply,))


def _staged(state: DownlinkState, event: Staged, options: DownlinkOptions) -> DownlinkStep:
    if state.phase is not DownPhase.STAGING:
        return _stay(state)
    return _ask(replace(state, attempt=0, holder=None), options)


def _applied(state: DownlinkState, event: Applied, options: DownlinkOptions) -> DownlinkStep:
    if state.phase is not DownPhase.APPLYING:
        return _stay(state)
    page, run = state.page, state.run
    assert page is not None
    assert run is not None
    replaced = bool(run.replace)
    cursor = Cursor(term=run.term, pos=page.pos)
    conflicts = state.conflicts if event.mismatched else 0  # an end that settled nothing ends no quarrel
    after = replace(state, cursor=cursor, run=None, page=None, conflicts=conflicts, holder=None)
    if event.mismatched:
        alarm = Alarm(code="digest_mismatch", detail=", ".join(event.mismatched))
        if replaced:  # fetched anew and still different: not so fast again
            slowed = _back_off(after, event.draw, options)
            return Step(slowed.state, (alarm, *slowed.effects))
        asked = _refetch(after, event.mismatched, event.fresh_id, options)
        return Step(asked.state, (alarm, *asked.effects))
    after = replace(after, loaded=True, attempt=0)
    if after.follow and page.rows and page.pos == run.from_pos:
        paused = replace(after, phase=DownPhase.BACKOFF, timer=state.timer + 1)
        return Step(paused, (SetTimer(timer=paused.timer, delay_ms=options.pause_ms),))
    if after.follow:
        return _ask(after, options, wait_ms=options.wait_ms)
    return _stay(replace(after, phase=DownPhase.IDLE))


def _conflicted(state: DownlinkState, event: ApplyConflicted, options: DownlinkOptions) -> DownlinkStep:
    """Another run was faster, or is on its way: go on from where it brought the cursor, or let it come through.

    It holds the stage as long as it gets on. A run that begins yields to it, looks again after a while, and takes
    the stage over when nothing was staged in between: its sync has gone to sleep, or died. Two first loads share
    one progress: whichever chunk came first counts for both.
    """
    if state.phase is DownPhase.STORING:
        brought = replace(
            state, cursor=event.cursor, urgent_pos=event.urgent_pos, loaded=event.loaded, loading=event.loading,
            attempt=0,
        )  # fmt: skip
        return _ask(brought, options)
    if state.phase not in (DownPhase.APPLYING, DownPhase.URGENT, DownPhase.STAGING):
        return _stay(state)
    moved = event.cursor != state.cursor
    after = replace(
        state,
        cursor=event.cursor,
        urgent_pos=event.urgent_pos,
        loaded=event.loaded,
        run=None,
        loading=None,
        page=None,
        conflicts=0 if moved else state.conflicts + 1,
        holder=event.holder,
    )
    if not moved:  # two runs stand in each other's way: let chance decide which one ends first
        waited = _back_off(after, event.draw, options, conflicts=state.conflicts + 1)
        return Step(waited.state, (_drop(state), *waited.effects))
    asked = _ask(after, options)
    return Step(asked.state, (_drop(state), *asked.effects))


def _stage(state: DownlinkState, run: Run, rows: tuple[FeedRow, ...]) -> Stage:
    return Stage(run=run, rows=rows, over=state.holder if run.pages == 1 else None)


def _drop(state: DownlinkState) -> DropStage:
    return DropStage(run=None if state.run is None else state.run.id)


# --- loading tables whole


def _refetch(
    state: DownlinkState, tables: tuple[str, ...], run_id: bytes, options: DownlinkOptions
) -> DownlinkStep:
    return _ask(replace(state, loading=Loading(tables=tables, refetch=run_id)), options)


def _chunk(state: DownlinkState, event: ChunkArrived, options: DownlinkOptions) -> DownlinkStep:
    loading = state.loading
    if event.request != state.request or state.phase is not DownPhase.LOADING or loading is None:
        return _stay(state)
    chunk = event.chunk
    state = _came(state, full=chunk.after is not None, took_ms=event.took_ms, options=options)
    term = _term(chunk.term)
    wrong = distrust(state.term, term, cluster=options.cluster)
    if wrong is not None:
        return _elsewhere(state, event.draw, options, alarm=Alarm(code=wrong[0], detail=wrong[1]))
    met: tuple[DownlinkEffect, ...] = ()
    if term != state.term:
        met = (TermMet(term=term),)
        state = replace(state, term=term)
    if loading.term is not None and loading.term != term:
        asked = _ask(_restarted(state, options), options)
        return Step(asked.state, (*met, _drop(state), *asked.effects))
    first = loading.start_pos is None
    start_pos = chunk.start_pos if loading.start_pos is None else loading.start_pos
    tables = loading.tables if chunk.after is not None else loading.tables[1:]
    progress = replace(loading, tables=tables, term=term, after=chunk.after, start_pos=start_pos)
    stored = _store_chunk(state, progress, event, first=first, options=options)
    return Step(stored.state, (*met, *stored.effects))


def _store_chunk(
    state: DownlinkState, loading: Loading, event: ChunkArrived, *, first: bool, options: DownlinkOptions
) -> DownlinkStep:
    assert loading.term is not None
    assert loading.start_pos is not None
    chunk = event.chunk
    if loading.refetch is None:
        done = not loading.tables
        cursor = Cursor(term=loading.term, pos=loading.start_pos) if done else None
        store = StoreChunk(
            table=chunk.table, rows=chunk.rows, first=first, loading=loading, cursor=cursor,
            before=None if first else state.loading,
        )  # fmt: skip
        after = replace(state, loading=None if done else loading, cursor=cursor, phase=DownPhase.STORING)
        return Step(after, (store,))
    assert state.cursor is not None
    replaced = state.run.replace if state.run is not None else ()
    pages = state.run.pages if state.run is not None else 0
    if chunk.after is None:
        replaced = (*replaced, chunk.table)
    # All tables are fetched: what came before the load began is of no interest any more. Of some tables, a chunk
    # that the server shares among tills may have been read before this till's cursor: what came between is needed.
    whole = not loading.tables and set(replaced) == set(options.tables)
    run = Run(
        id=loading.refetch,
        term=loading.term,
        from_pos=state.cursor.pos,
        round_from=loading.start_pos if whole else min(loading.start_pos, state.cursor.pos),
        replace=replaced,
        pages=pages + 1,
    )
    after = replace(state, run=run, loading=loading if loading.tables else None, phase=DownPhase.STAGING)
    return Step(after, (_stage(state, run, chunk.rows),))


def _chunk_stored(state: DownlinkState, event: ChunkStored, options: DownlinkOptions) -> DownlinkStep:
    if state.phase is not DownPhase.STORING:
        return _stay(state)
    return _ask(replace(state, attempt=0), options)


def _restarted(state: DownlinkState, options: DownlinkOptions) -> DownlinkState:
    """Return the state with loading begun anew, in another term."""
    assert state.loading is not None
    if state.loading.refetch is None:
        return replace(state, loading=Loading(tables=options.tables), cursor=None, run=None)
    return replace(state, loading=None, run=None)  # the digest will say what is to be fetched


# --- what goes wrong


def _refused(state: DownlinkState, event: Refused, options: DownlinkOptions) -> DownlinkStep:
    if event.request != state.request or state.phase not in ASKING:
        return _stay(state)
    if event.code == "busy":
        return _back_off(state, event.draw, options, least_ms=event.retry_after_ms)
    alarm = None
    if event.code != "not_live":
        alarm = Alarm(code=event.code, detail="the server refuses this till")
    return _elsewhere(state, event.draw, options, alarm=alarm)


def _transport_failed(state: DownlinkState, event: TransportFailed, options: DownlinkOptions) -> DownlinkStep:
    if event.request != state.request or state.phase not in ASKING:
        return _stay(state)
    if event.took_ms > options.good_ms:
        # on a slow line a page that ran out of time would run out of time for ever: the next one is shorter
        state = replace(state, shortened=min(state.shortened + 1, SHORTENED_MAX), steady=0)
    return _elsewhere(state, event.draw, options)


def _store_failed(state: DownlinkState, event: StoreFailed, options: DownlinkOptions) -> DownlinkStep:
    """Forget the run in memory: what of it is durable is not known, and it costs little to read again."""
    if state.phase in (*ASKING, DownPhase.IDLE, DownPhase.BACKOFF):
        return _stay(state)
    loading = state.loading
    if state.phase is DownPhase.STORING:
        loading = Loading(tables=options.tables)
        state = replace(state, cursor=None)
    elif loading is not None and state.phase is DownPhase.STAGING:
        loading = None
    failed = _back_off(replace(state, run=None, page=None, loading=loading), event.draw, options)
    return Step(failed.state, (_drop(state), *failed.effects))


def _elsewhere(
    state: DownlinkState, draw: float, options: DownlinkOptions, *, alarm: Alarm | None = None
) -> DownlinkStep:
    moved = replace(state, server_index=(state.server_index + 1) % options.servers)
    failed = _back_off(moved, draw, options)
    return failed if alarm is None else Step(failed.state, (alarm, *failed.effects))


def _back_off(
    state: DownlinkState, draw: float, options: DownlinkOptions, *, least_ms: int = 0, conflicts: int = 0
) -> DownlinkStep:
    """Wait a while: longer and longer after conflicts, until one run fits whole into the other's wait."""
    attempt = 2 * conflicts - 1 if conflicts else state.attempt + 1
    most = options.backoff_max_ms << min(2 * conflicts, CONFLICT_DOUBLINGS_MAX)
    delay = full_jitter_ms(attempt=attempt, draw=draw, base_ms=options.backoff_base_ms, max_ms=most)
    after = replace(state, phase=DownPhase.BACKOFF, attempt=attempt, timer=state.timer + 1, page=None)
    return Step(after, (SetTimer(timer=after.timer, delay_ms=max(delay, least_ms)),))


def _term(wire: TermWire) -> Term:
    return Term(cluster=wire.cluster, n=wire.n, id=wire.id)


_HANDLERS: dict[type, Callable[[DownlinkState, Any, DownlinkOptions], DownlinkStep]] = {
    Wake: _wake,
    Slept: _slept,
    TimerFired: _timer,
    PageArrived: _page,
    ChunkArrived: _chunk,
    UrgentApplied: _urgent_applied,
    Staged: _staged,
    ChunkStored: _chunk_stored,
    Applied: _applied,
    ApplyConflicted: _conflicted,
    StoreFailed: _store_failed,
    Refused: _refused,
    TransportFailed: _transport_failed,
}
