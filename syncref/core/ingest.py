"""Ingest: what a server does with a handshake and with a batch, decided in one call each.

The server's prefix of a journal is byte-equal to the till's, or it is a fork; a batch is stored whole or
not at all; a fact is never refused, only flagged or set aside. The shell locks the till's row, looks up
what `hashes_needed` and the decoded entries ask for, calls `plan_batch`, stores the plan in one transaction
and acks after its commit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping, Sequence

from msgspec import Struct

from syncref.core.posting import Posting, post
from syncref.domain.identity import Key, Mark, Term, genesis_hash
from syncref.wire.entry import ENTRY_BYTES_MAX, Entry
from syncref.wire.sync import BATCH_ENTRIES_MAX, Batch, Hello, HelloAnswer, TermWire


class ServerView(Struct, frozen=True, kw_only=True):
    """The server as the transaction sees it: its term row, whether it is live and its timeline the term's."""

    term: Term
    live: bool
    timeline_ok: bool = True


class JournalRow(Struct, frozen=True, kw_only=True):
    """A till's row: the durable mark and the session of its last handshake.

    closed_at  another journal continues this one from there (None: open). What is common up to there may
               still come, to a server that was promoted without it; nothing beyond.
    """

    key: Key
    durable: Mark
    session: bytes | None = None
    closed_at: int | None = None


class Refusal(Struct, frozen=True, kw_only=True):
    """Nothing is stored; `code` is of the error catalogue. The two sequences are details of gap and fork."""

    code: str
    message: str
    expected_seq: int | None = None
    at_seq: int | None = None


class RaiseTerm(Struct, frozen=True, kw_only=True):
    """The till was acked more in this very term than the server has: it was restored. Open a term >= n."""

    n: int


class Greeting(Struct, frozen=True, kw_only=True):
    """Answer a handshake and store its session; `opens`: the journal is new and its row to be made."""

    answer: HelloAnswer
    opens: bool


class Plan(Struct, frozen=True, kw_only=True):
    """What one transaction stores. Everything empty but `ack`: all was there already.

    drop     how many payloads of the batch are stored already, byte for byte
    first    sequence of the first new entry; `hashes` has the chain hash of each new entry
    head     the new durable mark
    ack      what may be told after the commit
    posting  the new entries' typed rows, flags and set-asides
    """

    drop: int
    first: int
    hashes: list[bytes]
    head: Mark
    ack: Mark
    posting: Posting


def new_row(*, cluster: str, key: Key) -> JournalRow:
    """Return the row of a journal that has no entry yet."""
    return JournalRow(key=key, durable=Mark(seq=0, hash=genesis_hash(cluster=cluster, key=key)))


def greet(
    view: ServerView,
    row: JournalRow | None,
    hello: Hello,
    *,
    hash_at_head: bytes | None,
    session: bytes,
    safe: int,
    now_ms: int,
) -> Greeting | RaiseTerm | Refusal:
    """Answer a handshake. `hash_at_head` is the stored hash at hello.head_seq, None when it is not stored."""
    wrong = _wrong_reign(view, hello.term)
    if wrong is not None:
        return wrong
    if row is None:
        key = Key(till=hello.till, incarnation=hello.incarnation)
        found = new_row(cluster=view.term.cluster, key=key)
    else:
        found = row
    if hello.term is not None and hello.term.n == view.term.n and hello.acked > found.durable.seq:
        return RaiseTerm(n=view.term.n + 1)
    if hello.head_seq == 0:
        hash_at_head = genesis_hash(cluster=view.term.cluster, key=found.key)
    answer = HelloAnswer(
        session=session,
        term=TermWire(cluster=view.term.cluster, n=view.term.n, id=view.term.id),
        durable_seq=found.durable.seq,
        durable_hash=found.durable.hash,
        hash_at_head=hash_at_head if hello.head_seq <= found.durable.seq else None,
        safe=min(safe, found.durable.seq),
        server_ms=now_ms,
        closed=found.closed_at is not None and found.durable.seq >= found.closed_at,
    )
    return Greeting(answer=answer, opens=row is None)


def _wrong_reign(view: ServerView, claimed: TermWire | None) -> Refusal | None:
    if not (view.live and view.timeline_ok):
        return Refusal(code="not_live", message="this server is not the live one")
    if claimed is None:
        return None
    if claimed.cluster != view.term.cluster:
        return Refusal(code="stale_term", message="the till belongs to another cluster")
    if claimed.n > view.term.n:
        return Refusal(code="not_live", message=f"the till has met term {claimed.n}, this is {view.term.n}")
    if claimed.n == view.term.n and claimed.id != view.term.id:
        return Refusal(code="stale_term", message=f"two servers call themselves term {claimed.n}")
    return None


def hashes_needed(row: JournalRow, batch: Batch) -> tuple[int, int] | None:
    """Return the first and last sequence whose stored hashes `plan_batch` needs, None when it needs none.

    The usual batch begins right after the durable mark, whose hash is in the row, and needs none.
    """
    first = max(1, batch.first_seq - 1)
    last = min(row.durable.seq - 1, batch.first_seq + len(batch.payloads) - 1)
    return (first, last) if first <= last else None


def plan_batch(
    view: ServerView,
    row: JournalRow | None,
    batch: Batch,
    *,
    stored: Mapping[int, bytes],
    entries: Sequence[Entry | str],
    known_ops: Container[bytes],
    receipts: Container[str],
    products: Container[str],
    awaited: Container[str] = frozenset(),
) -> Plan | Refusal:
    """Decide about a whole batch.

    stored     hash by sequence, for the range of `hashes_needed`
    entries    the batch's payloads decoded, from the first that is new on; a text says why one can't be
    known_ops  op ids of receipts posted before (of those in `entries`)
    receipts   numbers of receipts posted before (of those that `entries` refer to)
    products   known SKUs
    awaited    receipt numbers that earlier flags wait for
    """
    refusal = _refuse_batch(view, row, batch)
    if refusal is not None:
        return refusal
    assert row is not None
    chained = _chain(row, batch, stored)
    if isinstance(chained, Refusal):
        return chained
    drop, hashes, ack = chained
    if not hashes:
        return Plan(drop=drop, first=0, hashes=[], head=row.durable, ack=ack, posting=Posting())
    assert len(entries) == len(hashes), "one decoded entry, or its failure, for each new payload"
    first = batch.first_seq + drop
    posting = post(
        row.key,
        first,
        entries,
        known_ops=known_ops,
        receipts=receipts,
        products=products,
        awaited=awaited,
    )
    return Plan(drop=drop, first=first, hashes=hashes, head=ack, ack=ack, posting=posting)


def already_stored(row: JournalRow, batch: Batch) -> int:
    """Return how many payloads of a batch lie in the stored prefix: those need not be decoded."""
    return min(len(batch.payloads), max(0, row.durable.seq - batch.first_seq + 1))


def _refuse_batch(view: ServerView, row: JournalRow | None, batch: Batch) -> Refusal | None:
    term = view.term
    if not (view.live and view.timeline_ok):
        return Refusal(code="not_live", message="this server is not the live one")
    if (batch.term.cluster, batch.term.n, batch.term.id) != (term.cluster, term.n, term.id):
        return Refusal(code="stale_term", message=f"batch of term {batch.term.n}, this is {term.n}")
    if row is None or row.session is None or batch.session != row.session:
        return Refusal(code="session_unknown", message="shake hands first")
    if row.closed_at is not None and batch.first_seq + len(batch.payloads) - 1 > row.closed_at:
        return Refusal(code="fork", message="the journal is closed", at_seq=row.closed_at)
    return _refuse_shape(row, batch)


def _refuse_shape(row: JournalRow, batch: Batch) -> Refusal | None:
    if batch.first_seq < 1 or not batch.payloads:
        return Refusal(code="request_invalid", message="an empty batch")
    if len(batch.payloads) > BATCH_ENTRIES_MAX:
        return Refusal(code="too_large", message=f"more than {BATCH_ENTRIES_MAX} entries")
    if max(map(len, batch.payloads)) > ENTRY_BYTES_MAX:
        return Refusal(code="too_large", message=f"an entry of more than {ENTRY_BYTES_MAX} bytes")
    if batch.first_seq > row.durable.seq + 1:
        expected = row.durable.seq + 1
        return Refusal(code="gap", message=f"expected {expected}", expected_seq=expected)
    return None


def _chain(row: JournalRow, batch: Batch, stored: Mapping[int, bytes]) -> tuple[int, list[bytes], Mark] | Refusal:
    """Hash the batch on; compare at every sequence that the server has already."""
    durable = row.durable
    seq = batch.first_seq - 1
    value = batch.prev_hash
    # The genesis needs no comparison of its own: a false one shows at the first stored or posted hash.
    own = durable.hash if seq == durable.seq else stored.get(seq) if seq else value
    if own != value:
        return Refusal(code="fork", message=f"other bytes at {seq}", at_seq=seq)
    sha256 = hashlib.sha256
    hashes: list[bytes] = []
    for payload in batch.payloads:
        seq += 1
        value = sha256(value + payload).digest()
        if seq > durable.seq:
            hashes.append(value)
        elif value != (durable.hash if seq == durable.seq else stored.get(seq)):  # none: signed as lost
            return Refusal(code="fork", message=f"other bytes at {seq}", at_seq=seq)
    return len(batch.payloads) - len(hashes), hashes, Mark(seq=seq, hash=value)
