"""Back-office documents: each is one transaction, under an op id that is kept for ever with its result.

The same op id with the same request answers the same again; with another request it is refused.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec
from sqlalchemy import Connection, Engine, text

from syncref.domain.masters import MASTER_BY_NAME, Row
from syncref.errors import Busy, NotFound, OperationReused, RuleBroken
from syncref.store.server_identity import token_keys
from syncref.store.server_masters import Written, lock_rows, put_rows, read_rows
from syncref.store.server_open import transaction
from syncref.store.server_schema import operation, stock_count
from syncref.store.server_standbys import await_replayed
from syncref.store.server_stock import adjust_stock
from syncref.store.server_term import writable_term

TRIES_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A clerk's operation: `request` are the bytes that tell whether two requests are the same."""

    op_id: str
    clerk: str
    kind: str
    request: bytes
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The rows that an operation wrote, and when; of a repeated one, those of its first time.

    `replayed`: a standby has it too, or there are no peers.
    """

    rows: tuple[Written, ...]
    at_ms: int
    replayed: bool = True


def perform(engine: Engine, asked: Asked, work: Callable[[Connection], list[Written]]) -> Done:
    """Do an operation once. Raises OperationReused, and whatever `work` refuses.

    Deadlocks between documents are tried again here: nothing had happened.
    """
    for tries in range(1, TRIES_MAX + 1):
        try:
            with transaction(engine) as connection:
                done = _once(connection, asked, work)
        except Busy:
            if tries == TRIES_MAX:
                raise
        else:
            return replace(done, replayed=await_replayed(engine))
    raise AssertionError("unreachable")


def _once(connection: Connection, asked: Asked, work: Callable[[Connection], list[Written]]) -> Done:
    writable_term(connection)
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:op, 1))"), {"op": asked.op_id})
    keys = token_keys(connection)
    # Keyed, because a request may hold a PIN, which a plain hash would give away.
    request_hash = hmac.digest(keys[min(keys)], asked.kind.encode() + b"\0" + asked.request, "sha256")
    found = connection.execute(operation.select().where(operation.c.op_id == asked.op_id)).first()
    if found is not None:
        if bytes(found.request_hash) != request_hash or found.clerk != asked.clerk:
            raise OperationReused(f"op id {asked.op_id} was used for another request")
        stored = msgspec.json.decode(found.result, type=list[tuple[str, list[str | int | None], int]])
        rows = tuple(Written(table=table, key=tuple(key), version=version) for table, key, version in stored)
        return Done(rows=rows, at_ms=found.at_ms)
    written = work(connection)
    result = msgspec.json.encode([(row.table, row.key, row.version) for row in written]).decode()
    connection.execute(
        operation.insert().values(
            op_id=asked.op_id,
            clerk=asked.clerk,
            kind=asked.kind,
            request_hash=request_hash,
            result=result,
            at_ms=asked.at_ms,
        )
    )
    return Done(rows=tuple(written), at_ms=asked.at_ms)


def write(
    connection: Connection, table: str, rows: Iterable[tuple[Row, Row | None]], *, at_ms: int, urgent: bool = False
) -> list[Written]:
    """Write master rows, None deletes. Raises RuleBroken for a key named twice, NotFound for deleting nothing."""
    spec = MASTER_BY_NAME[table]
    wanted = unique(table, rows)
    locked = lock_rows(connection, spec, wanted)
    for key, values in wanted.items():
        if values is None and locked[key].deleted:
            raise NotFound(f"{table} {_shown(key)} is not there to be deleted")
    return put_rows(connection, spec, locked, wanted, at_ms=at_ms, urgent=urgent)


def unique(table: str, rows: Iterable[tuple[Row, Row | None]]) -> dict[Row, Row | None]:
    """Return rows by key. Raises RuleBroken for a key that is named twice."""
    wanted: dict[Row, Row | None] = {}
    for key, values in rows:
        if key in wanted:
            raise RuleBroken(f"{table} {_shown(key)} is there twice", where=_shown(key))
        wanted[key] = values
    return wanted


def demand(connection: Connection, table: str, keys: Iterable[str]) -> None:
    """Raise RuleBroken unless all these rows of a table with a one-column key exist."""
    wanted: list[Row] = sorted({(key,) for key in keys})
    stored = read_rows(connection, MASTER_BY_NAME[table], wanted)
    for key in wanted:
        if key not in stored or stored[key].deleted:
            raise RuleBroken(f"there is no {table} {_shown(key)}", where=_shown(key))


def move_goods(
    connection: Connection, table: str, doc_no: str, lines: list[Row], *, sign: int, at_ms: int
) -> list[Written]:
    """Write a goods receipt (sign 1) or vendor return (-1) of (vendor, sku, qty) lines, and move the stock."""
    _claim(connection, table, doc_no)
    rows = (((doc_no, n), (*line, at_ms)) for n, line in enumerate(lines, 1))
    written = write(connection, table, rows, at_ms=at_ms)
    deltas: dict[Row, int] = {}
    for _, sku, qty in lines:
        assert isinstance(qty, int)
        deltas[sku,] = deltas.get((sku,), 0) + sign * qty
    return written + adjust_stock(connection, deltas, at_ms=at_ms)


def count_stock(connection: Connection, doc_no: str, counted: Mapping[Row, int], *, at_ms: int) -> list[Written]:
    """Set stock to what was counted, and keep what that changed."""
    _claim(connection, "stock_count", doc_no)
    spec = MASTER_BY_NAME["stock"]
    locked = lock_rows(connection, spec, counted)
    rows = []
    for key, amount in counted.items():
        old = locked[key]
        before = 0 if old.deleted else int(old.values[0] or 0)
        rows.append({"doc_no": doc_no, "sku": key[0], "counted": amount, "delta": amount - before, "at_ms": at_ms})
    connection.execute(stock_count.insert(), rows)
    return put_rows(connection, spec, locked, {key: (n,) for key, n in counted.items()}, at_ms=at_ms)


def _claim(connection: Connection, table: str, doc_no: str) -> None:
    """Keep a document number to this transaction. Raises RuleBroken when a document has it.

    Locked before it is looked up, so that of two clerks the second sees what the first committed; and before any
    row is, so that whoever waits here holds nothing but its own op id.
    """
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:doc, 2))"), {"doc": f"{table} {doc_no}"}
    )
    found = connection.execute(text(f'SELECT 1 FROM "{table}" WHERE doc_no = :doc LIMIT 1'), {"doc": doc_no})
    if found.first() is not None:
        raise RuleBroken(f"{table} {doc_no!r} is there already", where="doc_no")


def _shown(key: Row) -> str:
    return repr(key[0]) if len(key) == 1 else str(key)
