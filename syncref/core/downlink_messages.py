"""The downlink core's state, events and effects."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from syncref.core.step import Step
from syncref.domain.identity import Cursor, Term
from syncref.wire.sync import PAGE_ROWS_MAX, FeedPage, FeedRow, LoadChunk


class DownPhase(Enum):
    """What the downlink waits for."""

    IDLE = "idle"
    FETCHING = "fetching"
    URGENT = "urgent"
    STAGING = "staging"
    APPLYING = "applying"
    LOADING = "loading"
    STORING = "storing"
    BACKOFF = "backoff"


class DownlinkOptions(Struct, frozen=True, kw_only=True):
    """`wait_ms`: how long a server may hold an answer while nothing changes; `tables` in loading order.

    cluster   the till's own: no other's server is believed
    pause_ms  how long to rest after a run that did not move the cursor: an open transaction on the server
              holds the horizon back, and its answers would come at once, again and again
    page_rows how many rows a page or chunk is to have at most
    good_ms   a shortened page that came whole within that is followed by one of twice its length;
              so is the last of `steady_pages` that came at all
    """

    cluster: str
    servers: int = 1
    wait_ms: int = 20_000
    pause_ms: int = 500
    backoff_base_ms: int = 50
    backoff_max_ms: int = 5000
    page_rows: int = PAGE_ROWS_MAX
    good_ms: int = 1250
    steady_pages: int = 8
    tables: tuple[str, ...] = ()


class Run(Struct, frozen=True, kw_only=True):
    """A feed read from the till's cursor to one consistent state, staged under `id` until its end.

    from_pos   the cursor it began at: it is applied only if the cursor still stands there
    round_from where the current round of pages began; `scan_to` and `after` continue it
    replace    tables whose rows are all to be replaced by what is staged, whatever their versions
    pages      how many times something was staged under it
    """

    id: bytes
    term: Term
    from_pos: int
    round_from: int
    scan_to: int | None = None
    after: tuple[str, str] | None = None
    replace: tuple[str, ...] = ()
    pages: int = 0


class Loading(Struct, frozen=True, kw_only=True):
    """Tables read in chunks: `tables[0]` is under way, `after` is its last key, None before its first chunk.

    start_pos  the feed position recorded before the very first chunk; None before it
    refetch    the run under which chunks are staged; None: a new till, rows go to its tables at once
    """

    tables: tuple[str, ...]
    term: Term | None = None
    after: str | None = None
    start_pos: int | None = None
    refetch: bytes | None = None


class Holder(Struct, frozen=True, kw_only=True):
    """The run that a till's one stage belongs to, and how many pages are staged under it."""

    run: bytes
    pages: int


class DownlinkState(Struct, frozen=True, kw_only=True):
    """How far the masters are. `term` is the highest met; `loaded`: the till may sell.

    `conflicts` counts runs that came to nothing because of another one, since one was applied; `holder` is that
    other one as it was at the last of them, if it had something staged.
    `shortened`: how often the length of a page is halved, so that one fits through the line in time; `steady`
    counts the full pages that came at that length.
    """

    cursor: Cursor | None = None
    loaded: bool = False
    term: Term | None = None
    urgent_pos: int = 0
    phase: DownPhase = DownPhase.IDLE
    follow: bool = False
    run: Run | None = None
    loading: Loading | None = None
    page: FeedPage | None = None
    request: int = 0
    timer: int = 0
    attempt: int = 0
    conflicts: int = 0
    holder: Holder | None = None
    generation: int = 0
    server_index: int = 0
    shortened: int = 0
    steady: int = 0


# --- events


class Wake(Struct, frozen=True, kw_only=True):
    """A sync of the masters is asked for; `follow`: keep up with the server until Slept."""

    follow: bool = False


class Slept(Struct, frozen=True):
    """Syncing is over until the next Wake. What is staged stays for it."""


class TimerFired(Struct, frozen=True, kw_only=True):
    """The timer of that number is over."""

    timer: int


class PageArrived(Struct, frozen=True, kw_only=True):
    """A feed page answered request `request`; `fresh_id`: 16 random bytes, should a run begin with it.

    generation  how often master rows had been written on this till when the page was asked for. Only a
                till that lets two syncs overlap needs to count.
    took_ms     from the request to the end of its answer
    """

    request: int
    page: FeedPage
    fresh_id: bytes
    generation: int = 0
    took_ms: int = 0
    draw: float = 0.5


class ChunkArrived(Struct, frozen=True, kw_only=True):
    """A chunk of a table answered request `request`, `took_ms` after it."""

    request: int
    chunk: LoadChunk
    took_ms: int = 0
    draw: float = 0.5


class UrgentApplied(Struct, frozen=True, kw_only=True):
    """ApplyUrgent is durable; `generation` counts its writing as well."""

    generation: int = 0


class Staged(Struct, frozen=True):
    """Stage is durable."""


class ChunkStored(Struct, frozen=True):
    """StoreChunk is durable."""


class Applied(Struct, frozen=True, kw_only=True):
    """Apply is durable. `mismatched`: tables whose digest is not the server's; `fresh_id`: 16 random bytes."""

    mismatched: tuple[str, ...] = ()
    fresh_id: bytes = b""
    draw: float = 0.5


class ApplyConflicted(Struct, frozen=True, kw_only=True):
    """Nothing was applied or staged: another run, load or urgent page was faster; this is where the till stands.

    `holder`: whose the stage is now, None when nothing is staged. `loading`: how far a first load is, if any.
    """

    cursor: Cursor | None
    urgent_pos: int
    loaded: bool
    holder: Holder | None = None
    loading: Loading | None = None
    draw: float = 0.5


class StoreFailed(Struct, frozen=True, kw_only=True):
    """The till's own store could not carry out the last effect (disk full, locked)."""

    draw: float


class Refused(Struct, frozen=True, kw_only=True):
    """A server answered request `request` with an error of the catalogue."""

    request: int
    code: str
    draw: float
    retry_after_ms: int = 0


class TransportFailed(Struct, frozen=True, kw_only=True):
    """No answer to request `request` in `took_ms`, not counting what the server was allowed to hold it."""

    request: int
    draw: float
    took_ms: int = 0


DownlinkEvent = (
    Wake
    | Slept
    | TimerFired
    | PageArrived
    | ChunkArrived
    | UrgentApplied
    | Staged
    | ChunkStored
    | Applied
    | ApplyConflicted
    | StoreFailed
    | Refused
    | TransportFailed
)

# --- effects


class Fetch(Struct, frozen=True, kw_only=True):
    """Ask for a feed page from `pos`, which is of `term`; `scan_to` and `after` continue a round.

    `limit`: rows at most.
    """

    request: int
    server_index: int
    pos: int
    term: Term | None
    scan_to: int | None
    after: tuple[str, str] | None
    urgent_pos: int
    wait_ms: int
    limit: int


class FetchChunk(Struct, frozen=True, kw_only=True):
    """Ask for a chunk of a table in key order, of `limit` rows at most."""

    request: int
    server_index: int
    table: str
    after: str | None
    start_pos: int | None
    limit: int


class ApplyUrgent(Struct, frozen=True, kw_only=True):
    """Write urgent rows to the tables at once, never over a row of an equal or higher version.

    Nothing at all, and ApplyConflicted, when rows were written since the page was asked for, that is when
    the till's generation is not `generation`: an old page must not bring back a row that was deleted since.
    Answer otherwise: UrgentApplied.
    """

    term: Term
    rows: tuple[FeedRow, ...]
    urgent_pos: int
    generation: int = 0


class Stage(Struct, frozen=True, kw_only=True):
    """Store rows under the run, and the run with its progress, in one transaction. Answer: Staged.

    Of two rows of one key the higher version stays. Where two syncs may overlap the stage is its holder's: a run
    takes an empty one with its first page, and the one of `over` if nothing was staged there since it was seen;
    nothing is staged, and ApplyConflicted answered, for a first page otherwise, and for a later one when the
    pages before it are not there any more. On a till with one sync every run takes the stage.
    """

    run: Run
    rows: tuple[FeedRow, ...]
    over: Holder | None = None


class DropStage(Struct, frozen=True, kw_only=True):
    """Discard what is staged under `run`, but nothing of another sync; no answer. None: nothing was."""

    run: bytes | None


class StoreChunk(Struct, frozen=True, kw_only=True):
    """Write a new till's rows to the tables and the progress `loading`, in one transaction. Answer: ChunkStored.

    `first`: empty the tables before. `cursor` is set with the last chunk: loading is over, the feed follows.
    Nothing, and ApplyConflicted, when another sync was faster: the till has a cursor, or, but for the first chunk,
    a progress that is not `before`.
    """

    table: str
    rows: tuple[FeedRow, ...]
    first: bool
    loading: Loading
    cursor: Cursor | None
    before: Loading | None = None


class Apply(Struct, frozen=True, kw_only=True):
    """End a run in one transaction: what is staged under it, the last page's rows, the cursor.

    Nothing, and ApplyConflicted, when the cursor isn't `expected` any more, when rows were written since
    the last page was asked for (the till's generation is not `generation`), or when what is staged is not
    this run's `pages` pages (another run dropped them). No row goes to a lower or equal version, except in
    tables of `replace`, which hold nothing else afterwards than what came with the run. Then compare each
    table's digest, set `loaded` when all agree, and answer Applied. A till row newer than a row that
    replaces it is reported.
    """

    run: Run
    rows: tuple[FeedRow, ...]
    expected: Cursor | None
    cursor: Cursor
    urgent_pos: int
    digests: tuple[tuple[str, int], ...]
    stock_seq: int
    generation: int = 0


class TermMet(Struct, frozen=True, kw_only=True):
    """A server answered in this term: tell the uplink."""

    term: Term


class SetTimer(Struct, frozen=True, kw_only=True):
    """Answer TimerFired(timer) after `delay_ms`; an older timer is void."""

    timer: int
    delay_ms: int


class Alarm(Struct, frozen=True, kw_only=True):
    """Tell the operator."""

    code: str
    detail: str


DownlinkEffect = (
    Fetch | FetchChunk | ApplyUrgent | Stage | DropStage | StoreChunk | Apply | TermMet | SetTimer | Alarm
)
DownlinkStep = Step[DownlinkState, DownlinkEffect]
