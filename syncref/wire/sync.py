"""The sync protocol between a till and a server: handshake, upload and feed.

Bodies are MessagePack, compressed with zstandard, under the content type below; errors are JSON
(`Problem`). Bounds nest: entry < batch < body, and are checked before anything is decompressed.
"""

from __future__ import annotations

import msgspec

CONTENT_TYPE = "application/vnd.syncref+zstd"
BATCH_ENTRIES_MAX = 1000
BATCH_BYTES_MAX = 2 * 1024 * 1024
BODY_BYTES_MAX = 4 * 1024 * 1024
PAGE_ROWS_MAX = 5000


class TermWire(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """A term as it travels."""

    cluster: str
    n: int
    id: bytes


class Hello(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """What a till says of itself on connect. `term` is the highest it has met, None when it is new."""

    till: str
    incarnation: bytes
    term: TermWire | None
    head_seq: int
    head_hash: bytes
    acked: int
    safe: int
    cursor_pos: int


class HelloAnswer(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """The server's durable mark for this journal, and its hash at the till's head if it has got that far.

    `session` (16 random bytes) binds the acks that follow to this handshake. `closed`: the journal takes
    nothing more, another incarnation continues it.
    """

    session: bytes
    term: TermWire
    durable_seq: int
    durable_hash: bytes
    hash_at_head: bytes | None
    safe: int
    server_ms: int
    closed: bool = False


class Batch(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """Consecutive entries. payloads[i] has sequence first_seq + i; prev_hash is the hash before the first."""

    session: bytes
    term: TermWire
    till: str
    incarnation: bytes
    first_seq: int
    prev_hash: bytes
    payloads: tuple[bytes, ...]


class Ack(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """Everything up to and including `seq` is durable on the live server; up to `safe` on the standbys too."""

    session: bytes
    seq: int
    hash: bytes
    safe: int


class FeedRow(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """One master row at one version; `row` is key then values, only the key when `deleted`."""

    table: str
    row: tuple[str | int | None, ...]
    version: int
    deleted: bool = False


class FeedPage(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """A page of a run, which is a feed read from the till's cursor to one consistent state.

    from_pos  where the run's current round began (the request's)
    scan_to   the round's horizon: pages of one round name the same; None on a last page
    after     where the next page of the round begins: (table, key in JSON); None when the round is done
    pos       the new cursor when `last`, else where the next round begins once `after` is None
    last      the till may apply the run: its rows then equal one committed server state
    digests   with `last` (even of an empty page): (table, digest) over live rows in that same state
    stock_seq with `last`: stock rows include this till's journal up to here
    urgent    rows to be applied at once, ahead of the run, with the rows that they depend on
    """

    term: TermWire
    from_pos: int
    scan_to: int | None
    after: tuple[str, str] | None
    pos: int
    last: bool
    rows: tuple[FeedRow, ...]
    urgent: tuple[FeedRow, ...] = ()
    digests: tuple[tuple[str, int], ...] = ()
    stock_seq: int = 0
    urgent_pos: int = 0
    tombstone_floor: int = 0


class LoadChunk(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """A chunk of an initial load, in key order. `after` continues it; None says that the table is done."""

    term: TermWire
    table: str
    start_pos: int
    after: str | None
    rows: tuple[FeedRow, ...]


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every error's JSON body. `code` is stable; `definite` says that nothing was or will be done."""

    code: str
    message: str
    definite: bool
    request_id: str
    expected_seq: int | None = None
    at_seq: int | None = None
    retry_after_ms: int | None = None
    where: str | None = None
