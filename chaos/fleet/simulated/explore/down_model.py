"""The downward model: documents, urgent rows, deletions, open transactions and a promotion, with two syncs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from chaos.fleet.simulated.explore.down_state import (
    TABLE,
    Down,
    Letter,
    Shelf,
    Sync,
    applied,
    conflicts,
    digest,
    dropped,
    holder,
    live_rows,
    put,
    server,
    staged,
)
from chaos.fleet.simulated.explore.engine import Next, Violation
from chaos.fleet.simulated.server_store import MasterChange
from chaos.fleet.simulated.staging import held_against
from syncref.core import downlink
from syncref.core import downlink_messages as down
from syncref.core.downlink_messages import DownlinkOptions, DownlinkState, DownPhase
from syncref.core.step import replace
from syncref.domain.identity import Cursor, Key, Term
from syncref.wire.sync import FeedPage, LoadChunk

KEY = Key(till="T01", incarnation=b"i" * 16)
FIRST = Term(cluster="lab", n=1, id=b"first")
SECOND = Term(cluster="lab", n=2, id=b"second")
OPTIONS = DownlinkOptions(cluster=FIRST.cluster, servers=1, tables=(TABLE,))
_step = lru_cache(maxsize=300_000)(downlink.step)
_encode = msgspec.msgpack.Encoder().encode


def document(value: int) -> tuple[MasterChange, ...]:
    """Return a document that gives x and y the same value."""
    return (MasterChange(TABLE, ("x",), (value,)), MasterChange(TABLE, ("y",), (value,)))


class DownModel:
    """One till that is loaded, and a chain of two servers."""

    def __init__(self, name: str, *, syncs: int = 2, **budget: Any) -> None:
        self.name, self.syncs, self.budget = name, syncs, budget

    def initial(self) -> Down:
        """Return a till that has what the server has."""
        log = ((1, (*document(0), MasterChange(TABLE, ("z",), (0,)))),)
        cursor = Cursor(term=FIRST, pos=2)
        shelf = Shelf(rows=live_rows(log), cursor=cursor)
        state = DownlinkState(cursor=cursor, loaded=True, term=FIRST)
        return Down(
            shelf=shelf,
            syncs=tuple(Sync(state) for _ in range(self.syncs)),
            log=log,
            standby=1,
            term=FIRST,
            **self.budget,
        )

    def steps(self, world: Down) -> Iterator[Next]:
        """Return every step."""
        yield from self._edits(world)
        if world.standby < len(world.log):
            yield Next("the standby replicates", replace(world, standby=world.standby + 1))
        if world.promotions:
            yield Next("the standby is promoted", _promoted(world), True)
        for index, sync in enumerate(world.syncs):
            if sync.todo:
                effect = sync.todo[0]
                yield Next(f"sync {index}: {type(effect).__name__}", normal(self._effect(world, index)))
            elif sync.state.phase is DownPhase.IDLE and self._behind(world):
                shelf, met = world.shelf, sync.state.term or FIRST
                fresh = DownlinkState(
                    cursor=shelf.cursor,
                    loaded=True,
                    term=max(shelf.cursor.term, met, key=lambda term: term.n),
                    urgent_pos=shelf.urgent_pos,
                    request=1,
                )
                woken = _with(world, index, Sync(fresh))
                yield Next(f"sync {index}: begins", normal(self._tell(woken, index, down.Wake())))
            elif sync.state.phase is DownPhase.BACKOFF:
                fired = self._tell(world, index, down.TimerFired(timer=sync.state.timer))
                yield Next(f"sync {index}: timer", normal(fired))
        for place, letter in enumerate(world.mail):
            yield from self._mail(world, place, letter)

    def _edits(self, world: Down) -> Iterator[Next]:
        version = len(world.log)
        if world.edits:
            left = replace(world, edits=world.edits - 1)
            yield Next("a document", _committed(left, document(version)), True)
        if world.urgents:
            left = replace(world, urgents=world.urgents - 1)
            urgent = MasterChange(TABLE, ("z",), (version,), urgent=True)
            yield Next("an urgent row", _committed(left, (urgent,)), True)
        if world.deletes:
            left = replace(world, deletes=world.deletes - 1)
            gone = MasterChange(TABLE, ("z",), None, urgent=True)
            yield Next("an urgent deletion", _committed(left, (gone,)), True)
        if world.holds:
            xid = server(world.log, world.begun, world.term).next_xid
            begun = replace(world, holds=world.holds - 1, begun=(*world.begun, xid))
            yield Next("a transaction begins", begun, True)
        for xid in world.begun:
            begun_left = tuple(other for other in world.begun if other != xid)
            log = (*world.log, (xid, document(version)))
            yield Next("the open transaction commits", replace(world, begun=begun_left, log=log))

    def _behind(self, world: Down) -> bool:
        cursor = world.shelf.cursor
        return cursor.term != world.term or world.shelf.rows != live_rows(world.log)

    def _tell(self, world: Down, index: int, event: down.DownlinkEvent) -> Down:
        sync = world.syncs[index]
        state, effects = _step(sync.state, event, options=OPTIONS)
        idle = (down.SetTimer, down.Alarm, down.TermMet)
        more = tuple(effect for effect in effects if not isinstance(effect, idle))
        return _with(world, index, Sync(state, (*sync.todo, *more)))

    def _effect(self, world: Down, index: int) -> Down:
        """Carry one effect of a sync out."""
        sync = world.syncs[index]
        effect = sync.todo[0]
        world = _with(world, index, sync._replace(todo=sync.todo[1:]))
        shelf = world.shelf
        match effect:
            case down.Fetch() | down.FetchChunk():
                letter = Letter("ask", index, True, shelf.generation, effect)
                return replace(world, mail=(*world.mail, letter))
            case down.Stage():
                if held_against(holder(shelf), effect):
                    return self._tell(world, index, _conflicted(world))
                world = replace(world, shelf=staged(shelf, effect.run, effect.rows))
                return self._tell(world, index, down.Staged())
            case down.DropStage():
                own = shelf.run is not None and shelf.run.id == effect.run
                return replace(world, shelf=dropped(shelf)) if own else world
            case down.ApplyUrgent():
                return self._urgent(world, index, effect)
            case down.Apply():
                return self._apply(world, index, effect)
        raise Violation(f"an effect of {type(effect).__name__}")

    def _urgent(self, world: Down, index: int, effect: down.ApplyUrgent) -> Down:
        if world.shelf.generation != effect.generation:
            return self._tell(world, index, _conflicted(world))
        shelf = put(world.shelf, effect.rows, effect.term)
        world = replace(world, shelf=shelf)
        return self._tell(world, index, down.UrgentApplied(generation=shelf.generation))

    def _apply(self, world: Down, index: int, effect: down.Apply) -> Down:
        before = world.shelf
        if conflicts(before, effect):
            return self._tell(world, index, _conflicted(world))
        shelf = applied(before, effect)
        if shelf.cursor.term == before.cursor.term and shelf.cursor.pos < before.cursor.pos:
            raise Violation("the cursor goes back within a term")
        same = dict(effect.digests).get(TABLE, 0) == digest(shelf.rows)
        if not same and not world.lost:
            raise Violation("a run ends in a state that never was")
        if same and effect.run.term == world.term and not self._ever(world, shelf):
            raise Violation("a run ends in a state that its term never had")
        world = replace(world, shelf=shelf)
        mismatched = () if same else (TABLE,)
        fresh = b"refetch %d" % index
        return self._tell(world, index, down.Applied(mismatched=mismatched, fresh_id=fresh))

    def _ever(self, world: Down, shelf: Shelf) -> bool:
        return any(live_rows(world.log[:length]) == shelf.rows for length in range(1, len(world.log) + 1))

    def _mail(self, world: Down, place: int, letter: Letter) -> Iterator[Next]:
        rest = replace(world, mail=world.mail[:place] + world.mail[place + 1 :])
        if letter.kind == "ask":
            answered = replace(rest, mail=(*rest.mail, _answer(world, letter)))
            yield Next(f"sync {letter.sync} is answered", normal(answered))
            return
        sync = world.syncs[letter.sync]
        if sync.todo:
            return
        yield Next(f"sync {letter.sync} hears", normal(self._hear(rest, letter)))

    def _hear(self, world: Down, letter: Letter) -> Down:
        state = world.syncs[letter.sync].state
        body = letter.body
        request = state.request if letter.current else -1
        if isinstance(body, FeedPage):
            run_id = b"run of sync %d" % letter.sync
            event: down.DownlinkEvent = down.PageArrived(
                request=request, page=body, fresh_id=run_id, generation=letter.generation
            )
        else:
            event = down.ChunkArrived(request=request, chunk=body)
        return self._tell(world, letter.sync, event)

    # --- invariants

    def wrong(self, world: Down) -> str | None:
        """Return whether half a document is to be seen."""
        rows = dict(world.shelf.rows)
        x, y = rows.get(("x",)), rows.get(("y",))
        if x is not None and y is not None and x[0][1] != y[0][1]:
            return "half a document is shown"
        return None

    def settled(self, world: Down) -> bool:
        """Return whether the till has what the server has, and rests."""
        quiet = all(s.state.phase is DownPhase.IDLE and not s.todo for s in world.syncs)
        return quiet and not world.mail and not world.begun and not self._behind(world)


def _with(world: Down, index: int, sync: Sync) -> Down:
    return replace(world, syncs=(*world.syncs[:index], sync, *world.syncs[index + 1 :]))


def _committed(world: Down, changes: tuple[MasterChange, ...]) -> Down:
    xid = server(world.log, world.begun, world.term).next_xid
    return replace(world, log=(*world.log, (xid, changes)))


def _promoted(world: Down) -> Down:
    """Go on from what the standby has; open transactions are gone, and so may be a tail of the log."""
    log = world.log[: world.standby]
    lost = log != world.log or bool(world.begun)
    return replace(
        world,
        log=log,
        begun=(),
        term=SECOND,
        standby=len(log),
        lost=world.lost or lost,
        promotions=world.promotions - 1,
    )


def _conflicted(world: Down) -> down.ApplyConflicted:
    shelf = world.shelf
    return down.ApplyConflicted(
        cursor=shelf.cursor, urgent_pos=shelf.urgent_pos, loaded=True, holder=holder(shelf)
    )


def _answer(world: Down, letter: Letter) -> Letter:
    """Let the live server answer at this instant."""
    store = server(world.log, world.begun, world.term)
    asked = letter.body
    body: FeedPage | LoadChunk
    if isinstance(asked, down.FetchChunk):
        body = store.chunk(table=asked.table, after=asked.after, start_pos=asked.start_pos, limit=asked.limit)
    else:
        pos = asked.pos
        if asked.term != world.term and asked.scan_to is None:
            pos = min(pos, store.horizon())
        body = store.page(
            pos=pos,
            scan_to=asked.scan_to,
            after=asked.after,
            urgent_pos=asked.urgent_pos,
            key=KEY,
            limit=asked.limit,
        )
    return letter._replace(kind="answer", body=body)


def normal(world: Down) -> Down:
    """Return the same world with counters renumbered, and answers dropped that no sync waits for."""
    base = min([world.shelf.generation, *(letter.generation for letter in world.mail)])
    waiting: list[Letter] = []
    for index, sync in enumerate(world.syncs):
        state = sync.state
        base = min(base, state.generation) if state.phase in _HOLDING else base
        if state.request == 1:  # else it has just asked anew
            waiting.extend(letter for letter in world.mail if letter.sync == index)
    syncs = []
    for sync in world.syncs:
        state = sync.state
        generation = state.generation - base if state.phase in _HOLDING else 0
        state = replace(
            state, request=1, timer=0, attempt=0, conflicts=min(state.conflicts, 1), generation=generation
        )
        todo = tuple(
            replace(effect, generation=effect.generation - base)
            if isinstance(effect, (down.Apply, down.ApplyUrgent))
            else effect
            for effect in sync.todo
        )
        todo = tuple(
            replace(effect, request=1) if isinstance(effect, (down.Fetch, down.FetchChunk)) else effect
            for effect in todo
        )
        syncs.append(Sync(state, todo))
    mail = sorted((letter._replace(generation=letter.generation - base) for letter in waiting), key=_encode)
    shelf = replace(world.shelf, generation=world.shelf.generation - base)
    return replace(world, shelf=shelf, syncs=tuple(syncs), mail=tuple(mail))


_HOLDING = (DownPhase.URGENT, DownPhase.APPLYING)
