"""Continuing a journal that the server has otherwise: a new incarnation, the suffix journaled anew in it.

Keeps: one durable transaction; every entry of the suffix stays under its original op id and its printed
number, so nothing is doubled; what is common stays as it is and is still owed to every server.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, exists, insert, select, update

from syncref.domain.identity import ID_BYTES, Key, Mark, chain_hash, genesis_hash, receipt_number
from syncref.errors import StorageCorrupt
from syncref.store.till_journal import hash_at
from syncref.store.till_open import TillDatabase
from syncref.store.till_schema import anchor, continued, journal, line, operation, payment, receipt, z_report
from syncref.store.till_state import read_state, write_state
from syncref.wire.entry import Continued, Entry, Receipt, decode_entry, encode_entry

_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJournal:
    """The journal that goes on, and how many entries were journaled anew in it."""

    key: Key
    head: Mark
    genesis: Mark
    moved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A journal that another one continues after `common`."""

    key: Key
    common: Mark


def rebase(database: TillDatabase, *, old: Key, common: Mark, at_ms: int) -> NewJournal:
    """Close journal `old` at `common` and go on under a new incarnation. No sale happens meanwhile.

    Raises StorageCorrupt when `common` is not of this journal: nothing is changed then.
    """
    with database.sale() as connection:
        state = read_state(connection, lock=True)
        if state.key != old or hash_at(connection, old, common.seq, cluster=state.cluster) != common.hash:
            raise StorageCorrupt(f"the journal does not have what it is to be continued from, {common.seq}")
        key = Key(till=state.till, incarnation=secrets.token_bytes(ID_BYTES))
        genesis = Mark(seq=0, hash=genesis_hash(cluster=state.cluster, key=key))
        first = Continued(
            op_id=secrets.token_bytes(ID_BYTES),
            incarnation=old.incarnation,
            seq=common.seq,
            hash=common.hash,
            at_ms=at_ms,
        )
        head = _append(connection, key, genesis, [first])
        head = _move(connection, old, common.seq, key, head)
        connection.execute(
            insert(continued), {"incarnation": old.incarnation, "seq": common.seq, "hash": common.hash}
        )
        write_state(
            connection,
            incarnation=key.incarnation,
            head_seq=head.seq,
            head_hash=head.hash,
            counter=0,
            acked=0,
            safe=0,
            stock_seq=0,
        )
    return NewJournal(key=key, head=head, genesis=genesis, moved=head.seq - 1)


def recall(database: TillDatabase, *, frozen: Key, common: Mark) -> NewJournal:
    """Let a journal that is continued end at `common`; what it has after it goes on at the end of the own one.

    No sale happens meanwhile. Raises StorageCorrupt when `common` is not of that journal: nothing is changed then.
    """
    with database.sale() as connection:
        state = read_state(connection, lock=True)
        if state.key == frozen or hash_at(connection, frozen, common.seq, cluster=state.cluster) != common.hash:
            raise StorageCorrupt(f"the continued journal does not have what it is to end at, {common.seq}")
        head = _move(connection, frozen, common.seq, state.key, state.head)
        ends = {"seq": common.seq, "hash": common.hash}
        connection.execute(update(continued).where(continued.c.incarnation == frozen.incarnation).values(ends))
        write_state(connection, head_seq=head.seq, head_hash=head.hash)
        genesis = Mark(seq=0, hash=genesis_hash(cluster=state.cluster, key=state.key))
    return NewJournal(key=state.key, head=head, genesis=genesis, moved=head.seq - state.head.seq)


_left = exists().where(anchor.c.incarnation == continued.c.incarnation, anchor.c.seq >= continued.c.seq)


def closed_journals(connection: Connection) -> list[Closed]:
    """Return the journals of this till that are continued by others, and have something to be sent.

    Those that left with a cleaning have not.
    """
    state = read_state(connection)
    return [
        Closed(
            key=Key(till=state.till, incarnation=bytes(row.incarnation)),
            common=Mark(seq=row.seq, hash=bytes(row.hash)),
        )
        for row in connection.execute(select(continued).where(continued.c.seq > 0, ~_left))
    ]


def end_of(connection: Connection, key: Key) -> Mark:
    """Return the mark after which another journal continues this one, which is closed."""
    row = connection.execute(select(continued).where(continued.c.incarnation == key.incarnation)).one()
    return Mark(seq=row.seq, hash=bytes(row.hash))


def lineage(connection: Connection) -> list[bytes]:
    """Return this till's incarnations in the order in which they continue one another, the present one last."""
    found = [read_state(connection).incarnation]
    while True:
        payload = connection.execute(
            select(journal.c.payload).where(journal.c.incarnation == found[0], journal.c.seq == 1)
        ).scalar_one_or_none()
        entry = None if payload is None else decode_entry(bytes(payload))
        if not isinstance(entry, Continued) or entry.incarnation in found:
            return found
        found.insert(0, entry.incarnation)


def _move(connection: Connection, old: Key, after: int, key: Key, head: Mark) -> Mark:
    """Journal the entries after a sequence anew behind another journal's head; return its new head."""
    shift = head.seq - after
    moved_to = _move_journal(connection, old, key, head, after)
    for table in (receipt, line, payment, z_report):
        moved = (table.c.incarnation == old.incarnation) & (table.c.seq > after)
        connection.execute(update(table).where(moved).values(incarnation=key.incarnation, seq=table.c.seq + shift))
    return moved_to


def _move_journal(connection: Connection, old: Key, key: Key, head: Mark, after: int) -> Mark:
    """Journal the entries after a sequence anew, a bounded number at a time; return the new head."""
    of_old = journal.c.incarnation == old.incarnation
    while True:
        rows = connection.execute(
            select(journal.c.seq, journal.c.payload)
            .where(of_old, journal.c.seq > after)
            .order_by(journal.c.seq)
            .limit(_ROWS)
        ).all()
        if not rows:
            break
        entries = [_again(decode_entry(bytes(row.payload)), old) for row in rows]
        _renumber(connection, entries, head.seq)
        head = _append(connection, key, head, entries)
        after = rows[-1].seq
        connection.execute(delete(journal).where(of_old, journal.c.seq <= after, journal.c.seq >= rows[0].seq))
    return head


def _again(entry: Entry, old: Key) -> Entry:
    """Return an entry as it is journaled anew: a receipt keeps the number that was printed."""
    if isinstance(entry, Receipt) and entry.number is None:
        return msgspec.structs.replace(entry, number=receipt_number(key=old, counter=entry.counter))
    return entry


def _append(connection: Connection, key: Key, head: Mark, entries: Iterable[Entry]) -> Mark:
    rows: list[dict[str, Any]] = []
    for entry in entries:
        payload = encode_entry(entry)
        head = Mark(seq=head.seq + 1, hash=chain_hash(head.hash, payload))
        rows.append({"incarnation": key.incarnation, "seq": head.seq, "hash": head.hash, "payload": payload})
    connection.execute(insert(journal), rows)
    return head


def _renumber(connection: Connection, entries: list[Entry], after: int) -> None:
    """Let the answers that are kept under the entries' op ids name the new sequences."""
    seqs = {entry.op_id.hex(): seq for seq, entry in enumerate(entries, after + 1)}
    found = connection.execute(select(operation.c.op_id, operation.c.result).where(operation.c.op_id.in_(seqs)))
    for row in found.all():
        answer = msgspec.json.decode(bytes(row.result))
        answer["seq"] = seqs[row.op_id]
        connection.execute(
            update(operation).where(operation.c.op_id == row.op_id).values(result=msgspec.json.encode(answer))
        )
