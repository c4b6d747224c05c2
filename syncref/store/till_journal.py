"""The journal as the uplink reads it: bounded batches, hashes, and how far the server confirmed."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from syncref.domain.identity import Key, Mark, chain_hash, genesis_hash
from syncref.errors import Busy, StorageCorrupt
from syncref.store.till_schema import anchor, journal, till
from syncref.store.till_state import read_state, write_state

_TAIL_CHECKED = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Consecutive entries after a mark: prev_hash is the stored hash there, `last` the mark of the last."""

    first_seq: int
    prev_hash: bytes
    payloads: tuple[bytes, ...]
    last: Mark


_STRETCH = (
    select(journal.c.seq, journal.c.payload, journal.c.hash)
    .where(
        journal.c.incarnation == bindparam("incarnation"),
        journal.c.seq >= bindparam("first"),
        journal.c.seq <= bindparam("last"),
    )
    .order_by(journal.c.seq)
)


def stretch(
    connection: Connection, key: Key, *, cluster: str, after: int, count_max: int, bytes_max: int
) -> Stretch:
    """Return entries after a sequence, as many as both bounds allow, but at least one.

    Raises StorageCorrupt when the journal does not go on there.
    """
    rows = connection.execute(
        _STRETCH, {"incarnation": key.incarnation, "first": after, "last": after + count_max}
    )
    previous = genesis_hash(cluster=cluster, key=key) if after == 0 else None
    payloads: list[bytes] = []
    size = 0
    last_hash = b""
    for row in rows:
        if row.seq == after:
            previous = bytes(row.hash)
            continue
        payload = bytes(row.payload)
        size += len(payload)
        if payloads and size > bytes_max:
            break
        payloads.append(payload)
        last_hash = bytes(row.hash)
    if previous is None:
        previous = hash_at(connection, key, after, cluster=cluster)
    if not payloads or previous is None:
        raise StorageCorrupt(f"the journal has nothing after {after}")
    return Stretch(
        first_seq=after + 1,
        prev_hash=previous,
        payloads=tuple(payloads),
        last=Mark(seq=after + len(payloads), hash=last_hash),
    )


def hash_at(connection: Connection, key: Key, seq: int, *, cluster: str) -> bytes | None:
    """Return a journal's chain hash at a sequence; None when it is beyond the head, or pruned."""
    if seq == 0:
        return genesis_hash(cluster=cluster, key=key)
    for table in (journal, anchor):
        found = connection.execute(
            select(table.c.hash).where(table.c.incarnation == key.incarnation, table.c.seq == seq)
        ).scalar_one_or_none()
        if found is not None:
            return bytes(found)
    return None


def check_chain(connection: Connection, *, where: str) -> Mark:
    """Verify the newest entries against the till's head and return the head. Raises StorageCorrupt."""
    state = read_state(connection)
    pruned = connection.execute(select(anchor.c.seq).where(anchor.c.incarnation == state.incarnation)).scalar()
    first = max(1, state.head_seq - _TAIL_CHECKED + 1, (pruned or 0) + 1)
    previous = hash_at(connection, state.key, first - 1, cluster=state.cluster)
    seq = first - 1
    rows = connection.execute(
        select(journal.c.seq, journal.c.hash, journal.c.payload)
        .where(journal.c.incarnation == state.incarnation, journal.c.seq >= first)
        .order_by(journal.c.seq)
    )
    for row in rows:
        seq += 1
        if previous is None or row.seq != seq or chain_hash(previous, bytes(row.payload)) != bytes(row.hash):
            raise StorageCorrupt(f"{where} is damaged: journal entry {seq} does not follow", where=where)
        previous = bytes(row.hash)
    if seq != state.head_seq or previous != state.head_hash:
        raise StorageCorrupt(
            f"{where} is damaged: the journal ends at {seq} and the till's head is {state.head_seq}", where=where
        )
    return state.head


def persist_progress(
    connection: Connection, *, term_n: int, term_id: bytes, acked: int, safe: int, contact_ms: int
) -> None:
    """Record what the server confirmed, and the highest term met. Raises Busy when that is a newer one already."""
    newest = till.c.term_n.is_(None) | (till.c.term_n <= term_n)
    values = {"term_n": term_n, "term_id": term_id, "acked": acked, "safe": safe, "contact_ms": contact_ms}
    if not connection.execute(update(till).where(newest).values(values)).rowcount:
        raise Busy(f"a newer term than {term_n} was met meanwhile")


def persist_term(connection: Connection, *, term_n: int, term_id: bytes) -> None:
    """Record a term that another journal met: what is acked of the till's own counted for the one before.

    Raises Busy when a newer one is stored.
    """
    stored = read_state(connection, lock=True).term_n
    if stored is not None and stored > term_n:
        raise Busy(f"a newer term than {term_n} was met meanwhile")
    if stored != term_n:
        write_state(connection, term_n=term_n, term_id=term_id, acked=0, safe=0)
