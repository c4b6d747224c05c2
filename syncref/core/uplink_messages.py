"""The uplink core's state, events and effects."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from syncref.core.step import Step
from syncref.domain.identity import Key, Mark, Term
from syncref.wire.sync import Ack, HelloAnswer


class Phase(Enum):
    """IDLE: not asked to sync. READY: a session stands, all is sent. FORKED: looking for the common mark."""

    IDLE = "idle"
    HELLO = "hello"
    CHECKING = "checking"
    PERSISTING = "persisting"
    LOADING = "loading"
    WAITING = "waiting"
    READY = "ready"
    BACKOFF = "backoff"
    FORKED = "forked"


class UplinkOptions(Struct, frozen=True, kw_only=True):
    """`cluster` is the till's own, and no other's server is believed.

    `servers` is the length of the ordered server list; `keepalive_ms` how long a quiet session is trusted.
    """

    cluster: str
    servers: int = 1
    batch_entries: int = 500
    backoff_base_ms: int = 50
    backoff_max_ms: int = 5000
    keepalive_ms: int = 30_000


class Probe(Struct, frozen=True, kw_only=True):
    """The search for the greatest common mark: `low` is common, `high` is not, `asked` is being asked."""

    low: Mark
    high: int
    asked: Mark | None = None


class UplinkState(Struct, frozen=True, kw_only=True):
    """How far one journal is sent.

    acked    durable on the live server of `term`; goes back when a restored or promoted server has less
    safe     on all promotable standbys of `term`
    anchor   the last pruned mark (the genesis when nothing is pruned): the lowest that can be compared
    sent     the server's mark in this session: what is loaded next comes after it
    inflight the last mark of the batch that is under way
    frozen   another journal of this till continues this one: its entries are still owed to every server, and
             nothing is added; what a server has otherwise is recalled, to go on in the till's own journal
    request  numbers what was asked of servers, so that an answer to something given up moves nothing
    """

    key: Key
    head: Mark
    anchor: Mark
    acked: int = 0
    safe: int = 0
    term: Term | None = None
    cursor_pos: int = 0
    phase: Phase = Phase.IDLE
    session: bytes | None = None
    sent: Mark | None = None
    inflight: Mark | None = None
    answer: HelloAnswer | None = None
    probe: Probe | None = None
    frozen: bool = False
    request: int = 0
    timer: int = 0
    attempt: int = 0
    server_index: int = 0
    batch_limit: int = 0  # 0: as many as the options say; halved when a server finds a batch too large
    fitting: int = 0  # 0: no bound; halved when a batch did not get through, doubled when one did


# --- events


class Wake(Struct, frozen=True, kw_only=True):
    """The journal has a new head, or a sync is asked for; `now` cuts a back-off or a quiet session short."""

    head: Mark | None = None
    now: bool = False


class Slept(Struct, frozen=True):
    """Syncing is over until the next Wake: a schedule's window has closed."""


class TermSeen(Struct, frozen=True, kw_only=True):
    """The feed was answered by a server in this term."""

    term: Term


class TimerFired(Struct, frozen=True, kw_only=True):
    """The timer of that number is over."""

    timer: int


class LocalHash(Struct, frozen=True, kw_only=True):
    """The journal's own hash at a sequence; None when it is pruned."""

    seq: int
    hash: bytes | None


class Persisted(Struct, frozen=True):
    """What PersistProgress(wait=True) asked for is durable."""


class EntriesLoaded(Struct, frozen=True, kw_only=True):
    """Consecutive entries after `sent`; `prev_hash` is the stored hash before, `last` the mark of the last."""

    first_seq: int
    prev_hash: bytes
    payloads: tuple[bytes, ...]
    last: Mark


class HelloAnswered(Struct, frozen=True, kw_only=True):
    """A server answered the handshake of that number. `head`: the journal's as it was stored at that time."""

    request: int
    answer: HelloAnswer
    draw: float = 0.5
    head: Mark | None = None


class BatchAcked(Struct, frozen=True, kw_only=True):
    """A server acked. Only the session binds it: an ack may be late, but not from an earlier handshake."""

    ack: Ack
    draw: float = 0.5


class Refused(Struct, frozen=True, kw_only=True):
    """A server answered request `request` with an error of the catalogue."""

    request: int
    code: str
    draw: float
    retry_after_ms: int = 0


class TransportFailed(Struct, frozen=True, kw_only=True):
    """No answer to request `request`: refused, reset, timed out. The outcome is unknown."""

    request: int
    draw: float


class StoreFailed(Struct, frozen=True, kw_only=True):
    """The till's own store could not carry out the last effect (disk full, locked)."""

    draw: float


class Rebased(Struct, frozen=True, kw_only=True):
    """The journal goes on under a new key; nothing of it is sent yet."""

    key: Key
    head: Mark
    genesis: Mark


class Recalled(Struct, frozen=True, kw_only=True):
    """A frozen journal ends at `head` now."""

    head: Mark


class Pruned(Struct, frozen=True, kw_only=True):
    """Everything up to `anchor` is gone from the till."""

    anchor: Mark


UplinkEvent = (
    Wake
    | Slept
    | TermSeen
    | TimerFired
    | LocalHash
    | Persisted
    | EntriesLoaded
    | HelloAnswered
    | BatchAcked
    | Refused
    | TransportFailed
    | Rebased
    | Recalled
    | Pruned
    | StoreFailed
)

# --- effects


class PersistProgress(Struct, frozen=True, kw_only=True):
    """Store term, acked and safe. With `wait` answer Persisted once durable; without, it may be lazy.

    Never over a higher term, which another journal's uplink of this till may have met: then store nothing
    and answer StoreFailed and TermSeen. The others are told a new term by TermSeen.
    """

    term: Term
    acked: int
    safe: int
    wait: bool


class ReadHash(Struct, frozen=True, kw_only=True):
    """Look up the journal's hash at a sequence. Answer: LocalHash."""

    seq: int


class Load(Struct, frozen=True, kw_only=True):
    """Read up to `limit` entries after `after`, within the batch's byte bound, at least one.

    Answer: EntriesLoaded.
    """

    after: int
    limit: int


class SendHello(Struct, frozen=True, kw_only=True):
    """Shake hands with a server of the list, claiming `head` (the journal's, or a mark being probed)."""

    request: int
    server_index: int
    head: Mark


class SendBatch(Struct, frozen=True, kw_only=True):
    """Send entries under a session."""

    request: int
    server_index: int
    session: bytes
    term: Term
    first_seq: int
    prev_hash: bytes
    payloads: tuple[bytes, ...]


class SetTimer(Struct, frozen=True, kw_only=True):
    """Answer TimerFired(timer) after `delay_ms`; an older timer is void."""

    timer: int
    delay_ms: int


class Rebase(Struct, frozen=True, kw_only=True):
    """Freeze the incarnation, open a new one that continues it from `common`, journal the suffix anew.

    Answer: Rebased, to this core and to the journal's.
    """

    common: Mark


class Recall(Struct, frozen=True, kw_only=True):
    """Let a frozen journal end at `common`, and journal what it has after it at the end of the till's own one.

    In one transaction, under the original op ids. Answer: Recalled to this core, and the new head to the others.
    """

    common: Mark


class Prune(Struct, frozen=True, kw_only=True):
    """Up to `safe` may go, of what is also tallied and older than the retention.

    `server_ms` is the live server's clock, by which retention counts.
    """

    safe: int
    server_ms: int


class Alarm(Struct, frozen=True, kw_only=True):
    """Tell the operator; the till goes on selling."""

    code: str
    detail: str


UplinkEffect = (
    PersistProgress | ReadHash | Load | SendHello | SendBatch | SetTimer | Rebase | Recall | Prune | Alarm
)
UplinkStep = Step[UplinkState, UplinkEffect]
