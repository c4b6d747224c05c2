"""The state of the downward model: a till's masters, two syncs of them, and two servers' logs."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import Struct

from chaos.fleet.simulated.server_store import MasterChange, ServerStore
from syncref.core.downlink_messages import Apply, DownlinkEffect, DownlinkState, Holder, Run
from syncref.core.step import replace
from syncref.domain.identity import Cursor, Term
from syncref.domain.masters import DIGEST_MODULUS, Row, row_digest
from syncref.wire.sync import FeedRow

TABLE = "stock"
PAGE_ROWS = 1
Rows = tuple[tuple[Row, tuple[Row, int]], ...]
Commit = tuple[int, tuple[MasterChange, ...]]  # transaction id, changes


class Sync(NamedTuple):
    """One sync of the masters, with the effects that it still has to carry out."""

    state: DownlinkState
    todo: tuple[DownlinkEffect, ...] = ()


class Letter(NamedTuple):
    """A request or an answer under way. `generation`: of the till's rows when it was asked."""

    kind: str
    sync: int
    current: bool
    generation: int
    body: Any


class Shelf(Struct, frozen=True, kw_only=True):
    """The till's masters. `highest` has each key's highest version in this term, deleted ones too."""

    rows: Rows = ()
    cursor: Cursor
    urgent_pos: int = 0
    generation: int = 0
    run: Run | None = None
    stage: tuple[FeedRow, ...] = ()
    pages: int = 0
    highest: tuple[tuple[Row, int], ...] = ()


class Down(Struct, frozen=True, kw_only=True):
    """Everything there is. `logs` are the live server's and its standby's; `begun` ids of open transactions."""

    shelf: Shelf
    syncs: tuple[Sync, ...]
    log: tuple[Commit, ...]
    standby: int  # how many of the live server's transactions its standby has
    begun: tuple[int, ...] = ()
    term: Term
    mail: tuple[Letter, ...] = ()
    lost: bool = False
    edits: int = 0
    urgents: int = 0
    deletes: int = 0
    holds: int = 0
    promotions: int = 0


@lru_cache(maxsize=50_000)
def server(log: tuple[Commit, ...], begun: tuple[int, ...], term: Term) -> ServerStore:
    """Return a server's database; it is only read."""
    store = ServerStore(cluster=term.cluster, page_rows=PAGE_ROWS)
    for xid, changes in log:
        store.write("edit", xid, None, b"", changes)
    store.begun.update(begun)
    store.next_xid = max([store.next_xid, *(xid + 1 for xid in begun)])
    store.term = term
    return store


@lru_cache(maxsize=50_000)
def live_rows(log: tuple[Commit, ...]) -> Rows:
    """Return the rows of a committed state."""
    store = server(log, (), Term(cluster="lab", n=1, id=b""))
    rows = store.tables.get(TABLE, {})
    return tuple(sorted((key, (row, version)) for key, (row, version) in rows.items() if row is not None))


def digest(rows: Rows) -> int:
    """Return the digest of a table."""
    return sum(row_digest(TABLE, row, version) for _, (row, version) in rows) % DIGEST_MODULUS


def put(shelf: Shelf, feed: tuple[FeedRow, ...], term: Term, *, anew: bool = False) -> Shelf:
    """Return the masters after some rows were taken, newer versions only unless the table begins anew."""
    rows = {} if anew else dict(shelf.rows)
    fresh = anew or shelf.cursor.term != term
    highest: dict[Row, int] = {} if fresh else dict(shelf.highest)
    for row in feed:
        key = row.row[:1]
        there = rows.get(key)
        if there is not None and there[1] >= row.version:
            continue
        assert row.version >= highest.get(key, 0), f"{key} goes to a lower version"
        highest[key] = row.version
        if row.deleted:
            rows.pop(key, None)
        else:
            rows[key] = (row.row, row.version)
    return replace(
        shelf,
        rows=tuple(sorted(rows.items())),
        highest=tuple(sorted(highest.items())),
        generation=shelf.generation + 1,
    )


def staged(shelf: Shelf, run: Run, rows: tuple[FeedRow, ...]) -> Shelf:
    """Return the masters after rows were staged under a run."""
    same = shelf.run is not None and shelf.run.id == run.id
    have = {row.row[:1]: row for row in (shelf.stage if same else ())}
    for row in rows:
        key = row.row[:1]
        if key not in have or have[key].version <= row.version:
            have[key] = row
    pages = (shelf.pages if same else 0) + 1
    stage = tuple(have[key] for key in sorted(have))
    return replace(shelf, run=run, stage=stage, pages=pages)


def holder(shelf: Shelf) -> Holder | None:
    """Return whose the stage is."""
    return None if shelf.run is None else Holder(run=shelf.run.id, pages=shelf.pages)


def dropped(shelf: Shelf) -> Shelf:
    """Return the masters with nothing staged."""
    return replace(shelf, run=None, stage=(), pages=0)


def conflicts(shelf: Shelf, effect: Apply) -> bool:
    """Return whether another sync was faster."""
    own = shelf.run is not None and shelf.run.id == effect.run.id
    pages = shelf.pages if own else 0
    moved = shelf.cursor != effect.expected or shelf.generation != effect.generation
    return moved or pages != effect.run.pages


def applied(shelf: Shelf, effect: Apply) -> Shelf:
    """Return the masters at the end of a run."""
    own = shelf.run is not None and shelf.run.id == effect.run.id
    ready = staged(shelf if own else dropped(shelf), effect.run, effect.rows)
    done = put(ready, ready.stage, effect.run.term, anew=bool(effect.run.replace))
    return replace(dropped(done), cursor=effect.cursor, urgent_pos=effect.urgent_pos)
