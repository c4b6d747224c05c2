"""Feed pages and load chunks: computed once per snapshot, encoded once, served to every till that asks.

A page of a round (with scan_to) stays good for the whole term: what it lacks has a transaction id at or
above scan_to and comes in the next round. A page that ends a run is shared until something changes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import msgspec
import zstandard
from sqlalchemy import Connection, Engine

from syncref.domain.identity import Term
from syncref.domain.masters import MASTER_BY_NAME
from syncref.errors import Busy, NotFound
from syncref.server.cache import SizedCache
from syncref.store import server_feed as store
from syncref.store.server_masters import key_text
from syncref.store.server_open import snapshot
from syncref.wire.sync import PAGE_ROWS_MAX, FeedPage, FeedRow, TermWire

UNSETTLED_ROWS_MAX = 4 * PAGE_ROWS_MAX
CACHE_BYTES_MAX = 48 << 20
SHARED_MS_MAX = 1000
LOAD_SHARED_MS_MAX = 60_000
_STRIPES = 16
_LEVEL = 3
_URGENT_ONLY = -1


class Ask(NamedTuple):
    """What a till asks of the feed; `urgent_pos` None asks for no urgent rows, `limit` for rows at most."""

    pos: int
    scan_to: int | None = None
    after: tuple[str, str] | None = None
    urgent_pos: int | None = None
    limit: int | None = None

    @property
    def rows_max(self) -> int:
        """How many rows a page may have."""
        return PAGE_ROWS_MAX if self.limit is None else min(self.limit, PAGE_ROWS_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page without what differs per till, and when it was read."""

    page: FeedPage
    rows: msgspec.Raw
    stock: dict[str, int]
    generation: int
    read_ms: int
    empty: bool

    @property
    def fingerprint(self) -> int:
        """A number that changes when the content that a till would get changes."""
        return hash((self.page.term, self.page.digests, self.page.tombstone_floor, tuple(self.stock.items())))


class _EncodedPage(msgspec.Struct, array_like=True, frozen=True):
    """A FeedPage whose rows are encoded already. The fields' order is FeedPage's."""

    term: TermWire
    from_pos: int
    scan_to: int | None
    after: tuple[str, str] | None
    pos: int
    last: bool
    rows: msgspec.Raw
    urgent: tuple[FeedRow, ...]
    digests: tuple[tuple[str, int], ...]
    stock_seq: int
    urgent_pos: int
    tombstone_floor: int


class _EncodedChunk(msgspec.Struct, array_like=True, frozen=True):
    """A LoadChunk whose rows are encoded already. The fields' order is LoadChunk's."""

    term: TermWire
    table: str
    start_pos: int
    after: str | None
    rows: msgspec.Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A load chunk's rows and the horizon of the snapshot that they were read in."""

    term: Term
    read_at: int
    read_ms: int
    after: str | None
    rows: msgspec.Raw


class FeedReader:
    """One worker's reader and cache of the feed.

    `generation` is raised from outside whenever the database says that something changed.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._locks = [threading.Lock() for _ in range(_STRIPES)]
        self._pages: SizedCache[Ask, Page] = SizedCache(bytes_max=CACHE_BYTES_MAX)
        self._chunks: SizedCache[tuple[str, str | None, int], Chunk] = SizedCache(bytes_max=CACHE_BYTES_MAX)
        self._digests: tuple[Term, store.DigestSums] | None = None
        self.generation = 0

    def forget(self) -> None:
        """Drop everything that was cached: the term may have changed, or changes were missed."""
        self._pages.clear()
        self._chunks.clear()
        self._digests = None
        _body.cache_clear()
        self.generation += 1

    def page(self, ask: Ask, asked_ms: int | None = None) -> Page:
        """Return the page for what is asked, from the cache while it is good.

        Without `asked_ms` it may be as old as the last notification, which is enough for one who waits for
        the next; with it (this module's now_ms) what had been committed by then is in it.
        """
        if ask.scan_to is None:
            return self._shared(ask, asked_ms)
        page = self._shared(ask._replace(urgent_pos=None), asked_ms)
        if ask.urgent_pos is None or page.page.tombstone_floor > ask.pos:
            return page
        ahead = Ask(pos=_URGENT_ONLY, urgent_pos=max(ask.urgent_pos, ask.pos), limit=ask.limit)
        urgent = self._shared(ahead, None)
        return replace(
            page,
            page=msgspec.structs.replace(page.page, urgent=urgent.page.urgent, urgent_pos=urgent.page.urgent_pos),
        )

    def page_across(self, pos: int, limit: int | None = None) -> Page:
        """Return the first page for a cursor of an earlier term, uncached.

        Only what is below the horizon means the same in both; the digests show what else differs.
        """
        with snapshot(self._engine) as connection:
            horizon = store.read_horizon(connection)
            return self._read(connection, Ask(pos=min(pos, horizon.xmin), limit=limit), self.generation)

    def _shared(self, ask: Ask, asked_ms: int | None) -> Page:
        with self._locks[hash(ask) % _STRIPES]:
            generation = self.generation
            cached = self._pages.get(ask)
            if cached is not None and (ask.scan_to is not None or _current(cached, generation, asked_ms)):
                return cached
            began_ms = now_ms()
            with snapshot(self._engine) as connection:
                page = replace(self._read(connection, ask, generation), read_ms=began_ms)
            self._pages.put(ask, page, 1000 + len(bytes(page.rows)) + 200 * len(page.page.urgent))
            return page

    def _read(self, connection: Connection, ask: Ask, generation: int) -> Page:
        horizon = store.read_horizon(connection)
        most = ask.rows_max
        urgent: tuple[FeedRow, ...] = ()
        if ask.urgent_pos is not None:
            urgent = tuple(store.urgent_rows(connection, pos=max(ask.urgent_pos, ask.pos), limit=most))
        part = _page(horizon, ask, urgent)
        if ask.pos == _URGENT_ONLY or ask.pos < horizon.floor:
            return _prepared(part, [], {}, generation)
        if ask.scan_to is None:
            keys = store.changed_keys(connection, pos=ask.pos, limit=most + 1)
            if len(keys) <= most:
                return self._last(connection, horizon, part, keys, generation)
        scan_to = horizon.xmin if ask.scan_to is None else ask.scan_to
        keys = store.changed_keys(connection, pos=ask.pos, below=scan_to, after=ask.after, limit=most + 1)
        if not keys and ask.scan_to is None:  # an open transaction holds the horizon at ask.pos
            keys = store.changed_keys(connection, pos=ask.pos, limit=UNSETTLED_ROWS_MAX + 1)
            if len(keys) > UNSETTLED_ROWS_MAX:
                raise Busy("an open transaction holds the feed back", retry_after_ms=1000)
            return self._last(connection, horizon, part, keys, generation)
        after = keys[most - 1] if len(keys) > most else None
        part = msgspec.structs.replace(part, scan_to=scan_to, after=after, pos=scan_to)
        return _prepared(part, store.rows_of(connection, keys[:most]), {}, generation)

    def _last(
        self,
        connection: Connection,
        horizon: store.Horizon,
        part: FeedPage,
        keys: list[store.TableKey],
        generation: int,
    ) -> Page:
        known = self._digests
        sums = known[1] if known is not None and known[0] == horizon.term else None
        settled, digests = store.digests(connection, sums, horizon)
        self._digests = (horizon.term, settled)
        part = msgspec.structs.replace(part, last=True, pos=horizon.xmin, digests=tuple(digests.items()))
        rows = store.rows_of(connection, keys)
        return _prepared(part, rows, store.stock_marks(connection), generation)

    def chunk(self, table: str, after: str | None, start_pos: int | None, limit: int | None = None) -> bytes:
        """Return an encoded, compressed LoadChunk of at most `limit` rows.

        `start_pos` is what the load's first chunk named.

        A shared chunk's snapshot must not be older than the load's start: the feed goes on from there.
        """
        spec = MASTER_BY_NAME.get(table)
        if spec is None:
            raise NotFound(f"there is no table {table!r}")
        most = PAGE_ROWS_MAX if limit is None else min(limit, PAGE_ROWS_MAX)
        place = (table, after, most)
        after_key = None if after is None else store.parse_key(table, after)
        with self._locks[hash(place) % _STRIPES]:
            chunk = self._chunks.get(place)
            recent = chunk is not None and now_ms() - chunk.read_ms < LOAD_SHARED_MS_MAX
            if chunk is None or not (recent if start_pos is None else chunk.read_at >= start_pos):
                with snapshot(self._engine) as connection:
                    horizon = store.read_horizon(connection)
                    rows = store.load_rows(connection, spec, after_key, most + 1)
                more = len(rows) > most
                last_key = rows[most - 1].row[: len(spec.key)] if more else ()
                chunk = Chunk(
                    term=horizon.term,
                    read_at=horizon.xmin,
                    read_ms=now_ms(),
                    after=key_text(last_key) if more else None,
                    rows=msgspec.Raw(msgspec.msgpack.encode(rows[:most])),
                )
                self._chunks.put(place, chunk, 1000 + len(bytes(chunk.rows)))
        start = chunk.read_at if start_pos is None else start_pos
        return _body(_EncodedChunk, _wire(chunk.term), table, start, chunk.after, bytes(chunk.rows))


def _current(cached: Page, generation: int, asked_ms: int | None) -> bool:
    if asked_ms is not None:
        return cached.read_ms > asked_ms
    return cached.generation == generation and now_ms() - cached.read_ms < SHARED_MS_MAX


def encode_page(page: Page, till: str) -> bytes:
    """Return a page's body for one till: it alone knows how far the stock rows include its journal."""
    part = page.page
    stock_seq = page.stock.get(till, 0) if part.last else 0
    return _body(
        _EncodedPage, part.term, part.from_pos, part.scan_to, part.after, part.pos, part.last, bytes(page.rows),
        part.urgent, part.digests, stock_seq, part.urgent_pos, part.tombstone_floor,
    )  # fmt: skip


@lru_cache(maxsize=128)
def _body(kind: Callable[..., object], *fields: object) -> bytes:
    parts = [msgspec.Raw(field) if isinstance(field, bytes) else field for field in fields]
    return compress(msgspec.msgpack.encode(kind(*parts)))


_local = threading.local()


def compress(data: bytes) -> bytes:
    """Return zstandard-compressed bytes with the content size in the frame."""
    compressor: zstandard.ZstdCompressor | None = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    body: bytes = compressor.compress(data)
    return body


def _page(horizon: store.Horizon, ask: Ask, urgent: tuple[FeedRow, ...]) -> FeedPage:
    return FeedPage(
        term=_wire(horizon.term),
        from_pos=ask.pos,
        scan_to=None,
        after=None,
        pos=ask.pos,
        last=False,
        rows=(),
        urgent=urgent,
        urgent_pos=horizon.xmin,
        tombstone_floor=horizon.floor,
    )


def _prepared(page: FeedPage, rows: list[FeedRow], stock: dict[str, int], generation: int) -> Page:
    raw = msgspec.Raw(msgspec.msgpack.encode(rows))
    return Page(page=page, rows=raw, empty=not rows, stock=stock, generation=generation, read_ms=now_ms())


def _wire(term: Term) -> TermWire:
    return TermWire(cluster=term.cluster, n=term.n, id=term.id)


def now_ms() -> int:
    """Return a monotonic clock in milliseconds."""
    return time.monotonic_ns() // 1_000_000
