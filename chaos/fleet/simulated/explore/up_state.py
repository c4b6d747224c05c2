"""The state of the upward model: a till's disk and uplinks, two servers, and the messages between them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import Struct

from syncref.core.failover import FailoverState
from syncref.core.ingest import JournalRow, ServerView
from syncref.core.journal_messages import JournalEffect, JournalState
from syncref.core.uplink_messages import UplinkEffect, UplinkState
from syncref.domain.identity import Key, Mark, Term, chain_hash, genesis_hash
from syncref.wire.entry import Continued, Receipt, decode_entry

CLUSTER = "lab"
TILL = "T01"
Record = tuple[Any, ...]
Payloads = tuple[bytes, ...]


class Paper(NamedTuple):
    """A journal on the till's disk; `base` is its anchor's sequence."""

    incarnation: bytes
    payloads: Payloads
    base: int = 0


class Mail(NamedTuple):
    """A message under way: a request to a server, or an answer to a lane. `request` 1 is current, 0 is stale."""

    kind: str
    lane: int
    request: int
    server: int
    body: Any


class Lane(NamedTuple):
    """An uplink and the effects that it still has to carry out."""

    state: UplinkState
    todo: tuple[UplinkEffect, ...] = ()


class Server(NamedTuple):
    """A server: its log of transactions, and what its process holds in memory or beside the database."""

    log: tuple[Record, ...]
    failover: FailoverState
    timeline: int = 1
    alive: bool = True
    open: bool = False
    fence: int = 0
    standby_of: int = -1
    sessions: tuple[tuple[bytes, bytes], ...] = ()


class Budget(NamedTuple):
    """How much may still happen."""

    sales: int = 0
    kills: int = 0
    drops: int = 0
    lates: int = 0
    repeats: int = 0
    promotions: int = 0
    server_kills: int = 0
    restores: int = 0
    rollbacks: int = 0
    confirmations: int = 0  # of a server that is not of the highest term


class Up(Struct, frozen=True, kw_only=True):
    """Everything there is. `told` are op numbers that a cashier was told ok; `lost` are declared losses."""

    papers: tuple[Paper, ...]
    term: Term | None
    journal: JournalState
    todo: tuple[JournalEffect, ...] = ()
    lanes: tuple[Lane, ...]
    servers: tuple[Server, ...]
    mail: tuple[Mail, ...] = ()
    asked: int = 0
    told: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
    pruned: tuple[int, ...] = ()
    terms: tuple[tuple[int, bytes], ...] = ()
    timelines: int = 1
    budget: Budget


class Book(NamedTuple):
    """A folded log: entries by incarnation, where journals are closed, the term row and its timeline."""

    entries: dict[bytes, Payloads]
    closed: dict[bytes, int]
    term: Term
    timeline: int
    posted: tuple[int, ...]


FIRST_TERM = Term(cluster=CLUSTER, n=1, id=b"first")


@lru_cache(maxsize=100_000)
def book(log: tuple[Record, ...]) -> Book:
    """Return what a log amounts to."""
    if not log:
        return Book({}, {}, FIRST_TERM, 1, ())
    before = book(log[:-1])
    kind, *values = log[-1]
    if kind == "term":
        return before._replace(term=values[0], timeline=values[1])
    incarnation, payloads = values
    entries = dict(before.entries)
    entries[incarnation] = entries.get(incarnation, ()) + payloads
    closed = dict(before.closed)
    posted = before.posted
    for payload in payloads:
        content = content_of(payload)
        if isinstance(content, Continued):
            closed[content.incarnation] = max(content.seq, closed.get(content.incarnation, 0))
        else:
            posted = (*posted, content)
    return Book(entries, closed, before.term, before.timeline, posted)


@lru_cache(maxsize=10_000)
def content_of(payload: bytes) -> int | Continued:
    """Return a receipt's op number, or the entry that continues a journal."""
    entry = decode_entry(payload)
    if isinstance(entry, Receipt):
        return int.from_bytes(entry.op_id, "big")
    assert isinstance(entry, Continued)
    return entry


@lru_cache(maxsize=100_000)
def chain(incarnation: bytes, payloads: Payloads) -> tuple[bytes, ...]:
    """Return the chain hashes of a journal, the genesis first."""
    if not payloads:
        return (genesis_hash(cluster=CLUSTER, key=Key(till=TILL, incarnation=incarnation)),)
    before = chain(incarnation, payloads[:-1])
    return (*before, chain_hash(before[-1], payloads[-1]))


def mark_of(paper: Paper) -> Mark:
    """Return a journal's head."""
    return Mark(seq=len(paper.payloads), hash=chain(paper.incarnation, paper.payloads)[-1])


def view_of(server: Server) -> ServerView:
    """Return what a transaction on a server sees."""
    held = book(server.log)
    return ServerView(term=held.term, live=server.open, timeline_ok=held.timeline == server.timeline)


def row_of(server: Server, incarnation: bytes) -> JournalRow | None:
    """Return the till's row of a journal on a server, None when it has none."""
    held = book(server.log)
    session = dict(server.sessions).get(incarnation)
    if incarnation not in held.entries and session is None and incarnation not in held.closed:
        return None
    payloads = held.entries.get(incarnation, ())
    mark = Mark(seq=len(payloads), hash=chain(incarnation, payloads)[-1])
    key = Key(till=TILL, incarnation=incarnation)
    return JournalRow(key=key, durable=mark, session=session, closed_at=held.closed.get(incarnation))
