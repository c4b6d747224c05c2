"""The uplink core's state, events and effects."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

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


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkOptions:
    """`servers` is the length of the ordered server list; `keepalive_ms` how long a quiet session is trusted."""

    servers: int = 1
    batch_entries: int = 500
    backoff_base_ms: int = 50
    backoff_max_ms: int = 5000
    keepalive_ms: int = 30_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The search for the greatest common mark: `low` is common, `high` is not, `asked` is being asked."""

    low: Mark
    high: int
    asked: Mark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UplinkState:
    """How far one journal is sent.

    acked    durable on the live server of `term`; goes back when a restored or promoted server has less
    safe     on all promotable standbys of `term`
    anchor   the last pruned mark (the genesis when nothing is pruned): the lowest that can be compared
    sent     the server's mark in this session: what is loaded next comes after it
    inflight the last mark of the batch that is under way
    frozen   another journal of this till continues this one: its entries are still owed to every server,
             nothing is added, and nothing of it is ever rebased
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """The journal has a new head, or a sync is asked for; `now` cuts a back-off or a quiet session short."""

    head: Mark | None = None
    now: bool = False


@dataclass(frozen=True, slots=True)
class Slept:
    """Syncing is over until the next Wake: a schedule's window has closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermSeen:
    """The feed was answered by a server in this term."""

    term: Term


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired:
    """The timer of that number is over."""

    timer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalHash:
    """The journal's own hash at a sequence; None when it is pruned."""

    seq: int
    hash: bytes | None


@dataclass(frozen=True, slots=True)
class Persisted:
    """What PersistProgress(wait=True) asked for is durable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EntriesLoaded:
    """Consecutive entries after `sent`; `prev_hash` is the stored hash before, `last` the mark of the last."""

    first_seq: int
    prev_hash: bytes
    payloads: tuple[bytes, ...]
    last: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class HelloAnswered:
    """A server answered the handshake of that number."""

    request: int
    answer: HelloAnswer
    draw: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAcked:
    """A server acked. Only the session binds it: an ack may be late, but not from an earlier handshake."""

    ack: Ack
    draw: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A server answered request `request` with an error of the catalogue."""

    request: int
    code: str
    draw: float
    retry_after_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportFailed:
    """No answer to request `request`: refused, reset, timed out. The outcome is unknown."""

    request: int
    draw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed:
    """The till's own store could not carry out the last effect (disk full, locked)."""

    draw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebased:
    """The journal goes on under a new key; nothing of it is sent yet."""

    key: Key
    head: Mark
    genesis: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
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
    | Pruned
    | StoreFailed
)

# --- effects


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistProgress:
    """Store term, acked and safe. With `wait` answer Persisted once durable; without, it may be lazy.

    Never over a higher term, which another journal's uplink of this till may have met: then store nothing
    and answer StoreFailed and TermSeen. The others are told a new term by TermSeen.
    """

    term: Term
    acked: int
    safe: int
    wait: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadHash:
    """Look up the journal's hash at a sequence. Answer: LocalHash."""

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Read up to `limit` entries after `after`, within the batch's byte bound, at least one.

    Answer: EntriesLoaded.
    """

    after: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SendHello:
    """Shake hands with a server of the list, claiming `head` (the journal's, or a mark being probed)."""

    request: int
    server_index: int
    head: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class SendBatch:
    """Send entries under a session."""

    request: int
    server_index: int
    session: bytes
    term: Term
    first_seq: int
    prev_hash: bytes
    payloads: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTimer:
    """Answer TimerFired(timer) after `delay_ms`; an older timer is void."""

    timer: int
    delay_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebase:
    """Freeze the incarnation, open a new one that continues it from `common`, journal the suffix anew.

    Answer: Rebased, to this core and to the journal's.
    """

    common: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """Up to `safe` may go, of what is also tallied and older than the retention.

    `server_ms` is the live server's clock, by which retention counts.
    """

    safe: int
    server_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Tell the operator; the till goes on selling."""

    code: str
    detail: str


UplinkEffect = PersistProgress | ReadHash | Load | SendHello | SendBatch | SetTimer | Rebase | Prune | Alarm
UplinkStep = Step[UplinkState, UplinkEffect]
