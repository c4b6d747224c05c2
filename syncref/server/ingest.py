"""Ingest's shell: decode, lock, look up, let the core decide, store, commit, and only then ack.

The usual batch goes through without a savepoint. When the database refuses its data, the transaction is
done again with savepoints, and exactly the entries that can't be stored are set aside.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import psycopg2
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from syncref import errors
from syncref.auth import Identity
from syncref.core import ingest as core
from syncref.core.failover import Role
from syncref.core.posting import (
    Failure,
    Posting,
    Remedy,
    classify_sqlstate,
    remedy,
    set_aside,
)
from syncref.core.step import replace
from syncref.core.terms import next_number
from syncref.domain.identity import ID_BYTES, Key, Term
from syncref.logs import event
from syncref.store import server_ingest as store
from syncref.store.server_open import STANDBY_STATE, sqlstate, translated
from syncref.store.server_refusals import Refused, add_refusals, last_refused_ms
from syncref.store.server_standbys import safe_seq
from syncref.store.server_term import persist_term, read_term
from syncref.wire.entry import Entry, Receipt, decode_entry
from syncref.wire.sync import Ack, Batch, Hello, HelloAnswer

TRIES_MAX = 4
TERM_RAISED = "term_raised"
RAISE_AGAIN_MS = 86_400_000
PRODUCTS_CACHED_MAX = 300_000
_log = logging.getLogger("syncref.server.ingest")
_ERRORS = {
    kind.code: kind
    for kind in (
        errors.Gap, errors.Fork, errors.StaleTerm, errors.SessionUnknown, errors.TooLarge, errors.NotLive,
        errors.RequestInvalid,
    )
}  # fmt: skip
T = TypeVar("T")


@dataclass(slots=True)
class _Transaction:
    """A raw transaction: its cursor, and in which way it is done.

    look_up  look op ids up; the first try leaves that to the unique index, which almost never objects
    careful  store under savepoints, to find what the database refuses
    """

    cursor: Any
    look_up: bool
    careful: bool


class Ingest:
    """One worker's ingest. `clock_ms` tells the server's time; `peers`: how many may make safe as standbys."""

    def __init__(self, engine: Engine, clock_ms: Callable[[], int], *, peers: int = 0, rank: int = 0) -> None:
        self._engine = engine
        self._standbys = peers > 0
        self._ranks = peers + 1
        self._rank = rank
        self._clock_ms = clock_ms
        self._products: set[str] = set()

    def now_ms(self) -> int:
        """Return the server's time."""
        return self._clock_ms()

    def term_number(self, least: int) -> int:
        """Return the lowest number from `least` on of a term that this server may open."""
        return next_number(least - 1, rank=self._rank, ranks=self._ranks)

    def forget(self) -> None:
        """Drop what was cached of the database."""
        self._products = set()

    def hello(self, hello: Hello) -> HelloAnswer:
        """Answer a handshake, and persist its session before it is told."""
        return self._tried(lambda transaction: self._hello(transaction, hello))

    def batch(self, batch: Batch) -> Ack:
        """Store a batch and return its ack: everything in it is durable then."""
        return self._tried(lambda transaction: self._batch(transaction, batch))

    def _tried(self, work: Callable[[_Transaction], T]) -> T:
        look_up = careful = False
        for tries in range(1, TRIES_MAX + 1):
            try:
                with self._engine.begin() as connection:
                    cursor = connection.connection.cursor()
                    try:
                        return work(_Transaction(cursor=cursor, look_up=look_up, careful=careful))
                    finally:
                        cursor.close()
            except (SQLAlchemyError, psycopg2.Error) as error:
                if sqlstate(error) == STANDBY_STATE:
                    raise translated(error) from error
                failure = _failure(error)
                race = _constraint(error) == "receipt_op" or sqlstate(error)[:2] == "40"
                event(
                    _log, logging.WARNING, "batch_failed", sqlstate=sqlstate(error), tries=tries, careful=careful
                )
                look_up = True
                if failure is Failure.TRANSIENT and not (race and tries < TRIES_MAX):
                    raise translated(error) from error
                if remedy(failure, tries=tries, entries=2) is not Remedy.RETRY_LATER:
                    if careful:
                        raise translated(error) from error
                    careful = True
        raise errors.Busy("the batch failed again and again", retry_after_ms=1000)

    def _hello(self, transaction: _Transaction, hello: Hello) -> HelloAnswer:
        cursor, now_ms = transaction.cursor, self._clock_ms()
        key = Key(till=hello.till, incarnation=hello.incarnation)
        locked = _provisioned(store.lock_journal(cursor, key))
        hash_at_head: bytes | None = None
        if locked.row is not None and 0 < hello.head_seq <= locked.row.durable.seq:
            hash_at_head = store.stored_hashes(cursor, key, hello.head_seq, hello.head_seq).get(hello.head_seq)
        answer = core.greet(
            locked.view,
            locked.row,
            hello,
            hash_at_head=hash_at_head,
            session=secrets.token_bytes(16),
            safe=self._safe(cursor, key, locked.view.term.n) if self._standbys else hello.safe,
            now_ms=now_ms,
        )
        if isinstance(answer, core.Refusal):
            raise _of_term(answer, hello, locked.view)
        if isinstance(answer, core.RaiseTerm):
            raise _Restored(answer.n)
        told = answer.answer
        store.put_session(cursor, key, told, now_ms=now_ms)
        return told

    def _batch(self, transaction: _Transaction, batch: Batch) -> Ack:
        cursor, now_ms = transaction.cursor, self._clock_ms()
        key = Key(till=batch.till, incarnation=batch.incarnation)
        locked = _provisioned(store.lock_journal(cursor, key))
        hashes: dict[int, bytes] = {}
        entries: list[Entry | str] = []
        if locked.row is not None:
            needed = core.hashes_needed(locked.row, batch)
            if needed is not None:
                hashes = store.stored_hashes(cursor, key, *needed)
            entries = [_entry(payload) for payload in batch.payloads[core.already_stored(locked.row, batch) :]]
        receipts = [entry for entry in entries if type(entry) is Receipt]
        plan = core.plan_batch(
            locked.view,
            locked.row,
            batch,
            stored=hashes,
            entries=entries,
            known_ops=_posted_ops(transaction, receipts),
            receipts=store.known_receipts(cursor, {r.ref for r in receipts if r.ref is not None}),
            products=self._known(cursor, receipts),
        )
        if isinstance(plan, core.Refusal):
            raise _error(plan)
        if plan.hashes:
            payloads = batch.payloads[plan.drop :]
            term_n = locked.view.term.n
            store.append_entries(cursor, key, plan, payloads, term_n=term_n, now_ms=now_ms)
            posting = _post(transaction, key, plan)
            store.store_doubts(cursor, key, posting, cluster=locked.view.term.cluster, now_ms=now_ms)
            store.advance(cursor, key, plan.head, now_ms=now_ms)
        safe = self._safe(cursor, key, locked.view.term.n) if self._standbys else 0
        return Ack(session=batch.session, seq=plan.ack.seq, hash=plan.ack.hash, safe=min(safe, plan.ack.seq))

    def _safe(self, cursor: Any, key: Key, term_n: int) -> int:
        return safe_seq(cursor, key, term_n=term_n)

    def _known(self, cursor: Any, receipts: list[Receipt]) -> set[str]:
        """Return a set that holds every known product of these receipts; once known stays known."""
        products = self._products
        skus = {line.sku for receipt in receipts for line in receipt.lines}
        unseen = skus - products
        if unseen:
            if len(products) > PRODUCTS_CACHED_MAX:
                products = self._products = set()
                unseen = skus
            products |= store.known_products(cursor, unseen)
        return products


def _posted_ops(transaction: _Transaction, receipts: list[Receipt]) -> set[bytes]:
    if not transaction.look_up:
        return set()
    return store.posted_ops(transaction.cursor, [receipt.op_id.hex() for receipt in receipts])


class _Restored(Exception):
    """The handshake shows that this server lost what it had acked: it was restored."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.n = n


def greet(ingest: Ingest, engine: Engine, hello: Hello) -> HelloAnswer:
    """Answer a handshake; when it shows that the server was restored, open a new term first."""
    try:
        return ingest.hello(hello)
    except _Restored as restored:
        cluster = hello.term.cluster if hello.term is not None else ""
        term = Term(cluster=cluster, n=ingest.term_number(restored.n), id=secrets.token_bytes(ID_BYTES))
        try:
            with engine.begin() as connection:
                row = read_term(connection, lock=True)
                if row is None or row.role is not Role.LIVE:
                    raise errors.NotLive("this server is not the live one")
                _note_raise(connection, hello, now_ms=ingest.now_ms())
                persist_term(connection, term, above=restored.n - 1, guarded=row.guarded)
        except SQLAlchemyError as error:
            raise translated(error) from error
        event(_log, logging.ERROR, "term_raised", till=hello.till, n=term.n, acked=hello.acked)
        return ingest.hello(hello)


def _note_raise(connection: Connection, hello: Hello, *, now_ms: int) -> None:
    """Note that a till's word opens a term. Its word alone does so once a day, or it could unsettle the shop.

    A restored database has forgotten that, and may be told again.
    """
    who = Identity(kind="till", name=hello.till)
    last_ms = last_refused_ms(connection, who, TERM_RAISED)
    if last_ms is not None and now_ms - last_ms < RAISE_AGAIN_MS:
        raise errors.Forbidden(f"{hello.till} says again that it was acked up to {hello.acked}, which is not here")
    detail = f"acked up to {hello.acked}, by its own word"
    note = Refused(who=who, code=TERM_RAISED, count=1, first_ms=now_ms, last_ms=now_ms, detail=detail)
    add_refusals(connection, [note])


def _provisioned(locked: store.Locked | None) -> store.Locked:
    if locked is None:
        raise errors.NotLive("this database is not provisioned: run `syncref provision server`")
    return locked


def _of_term(refusal: core.Refusal, hello: Hello, view: core.ServerView) -> errors.SyncrefError:
    """Tell a claim that no honest till makes from being late for a change of server."""
    if view.live and view.timeline_ok and hello.term is not None:
        if refusal.code == "stale_term":
            return errors.FalseTerm(refusal.message)
        if refusal.code == "not_live":
            return errors.TermAhead(refusal.message)
    return _error(refusal)


def _error(refusal: core.Refusal) -> errors.SyncrefError:
    return _ERRORS[refusal.code](refusal.message, expected_seq=refusal.expected_seq, at_seq=refusal.at_seq)


def _entry(payload: bytes) -> Entry | str:
    try:
        return decode_entry(payload)
    except msgspec.DecodeError as error:
        return f"undecodable: {error}"


def _post(transaction: _Transaction, key: Key, plan: core.Plan) -> Posting:
    """Store the typed rows; return the posting, with what the database refused set aside."""
    if not transaction.careful:
        store.store_typed(transaction.cursor, key, plan.posting)
        return plan.posting
    posting = plan.posting
    for seq, reason in _refused(transaction.cursor, key, posting, plan.first, len(plan.hashes)):
        posting = set_aside(posting, seq, reason)
    return posting


def _refused(cursor: Any, key: Key, posting: Posting, first: int, count: int) -> list[tuple[int, str]]:
    """Store the typed rows of `count` entries under a savepoint, halving what the database refuses.

    Returns (sequence, reason) of the entries that can't be stored.
    """
    end = first + count
    part = replace(
        posting,
        receipts=[row for row in posting.receipts if first <= row.seq < end],
        closed=[row for row in posting.closed if first <= row[0] < end],
    )
    cursor.execute("SAVEPOINT part")
    try:
        store.store_typed(cursor, key, part)
    except psycopg2.Error as error:
        if _failure(error) is Failure.TRANSIENT:
            raise
        cursor.execute("ROLLBACK TO SAVEPOINT part")
        if count == 1:
            reason = f"SQLSTATE {sqlstate(error)}: {error.diag.message_primary or type(error).__name__}"
            event(_log, logging.ERROR, "entry_set_aside", till=key.till, seq=first, reason=reason)
            return [(first, reason)]
        half = count // 2
        return [
            *_refused(cursor, key, posting, first, half),
            *_refused(cursor, key, posting, first + half, count - half),
        ]
    cursor.execute("RELEASE SAVEPOINT part")
    return []


def _failure(error: BaseException) -> Failure:
    return classify_sqlstate(sqlstate(error), constraint=_constraint(error))


def _constraint(error: BaseException) -> str | None:
    original = getattr(error, "orig", None) or error
    name: str | None = getattr(getattr(original, "diag", None), "constraint_name", None)
    return name
