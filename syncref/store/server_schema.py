"""The server's tables (PostgreSQL). Every transaction table is keyed by till first, so that it can be split."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)

from syncref.domain.masters import MASTERS
from syncref.store.columns import line_columns, master_columns, receipt_columns, z_columns

metadata = MetaData()
SCHEMA_VERSION = 3
STANDBY_HEADS = "standby_head"

term = Table(  # one row: the current term, the PostgreSQL timeline it was opened on, and who may write
    "term",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("cluster", Text, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("id", LargeBinary, nullable=False),
    Column("timeline", Integer, nullable=False),
    Column("fenced_by", BigInteger),  # a newer term: nothing is written here any more
    Column("guard", DateTime(timezone=True)),  # the postmaster start that was confirmed; NULL: no peers
)
identity = Table(  # credentials of tills and clerks: argon2id hashes
    "identity",
    metadata,
    Column("kind", Text, primary_key=True),  # till, clerk or server
    Column("name", Text, primary_key=True),
    Column("secret_hash", Text, nullable=False),
    Column("active", Boolean, nullable=False, server_default=text("true")),
)
token_key = Table(
    "token_key",
    metadata,
    Column("kid", Integer, primary_key=True),
    Column("secret", LargeBinary, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)


def _journal_key() -> list[Column[Any]]:
    return [
        Column("till", Text, primary_key=True),
        Column("incarnation", LargeBinary, primary_key=True),
    ]


def _entry_key() -> list[Column[Any]]:
    return [*_journal_key(), Column("seq", BigInteger, primary_key=True, autoincrement=False)]


journal = Table(  # the till's row: locked by every upload; `seq` and `hash` are the durable mark
    "journal",
    metadata,
    *_journal_key(),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("session", LargeBinary),
    Column("closed_at_seq", BigInteger),
    Column("opened_ms", BigInteger, nullable=False),
    Column("contact_ms", BigInteger, nullable=False),
)
entry = Table(  # the bytes are the truth
    "entry",
    metadata,
    *_entry_key(),
    Column("hash", LargeBinary, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("term_n", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
)
receipt = Table(  # status: posted, or duplicate (its op id came from another journal first: not counted)
    "receipt", metadata, *_entry_key(), *receipt_columns(), Column("status", Text, nullable=False)
)
Index("receipt_op", receipt.c.op_id, unique=True, postgresql_where=text("status = 'posted'"))
Index("receipt_date", receipt.c.till, receipt.c.business_date)
Index("receipt_number", receipt.c.receipt_no)  # a refund names another till's receipt by it
line = Table(
    "line",
    metadata,
    *_entry_key(),
    Column("line_no", Integer, primary_key=True, autoincrement=False),
    *line_columns(),
)
payment = Table(
    "payment",
    metadata,
    *_entry_key(),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("tender", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
)
z_report = Table("z_report", metadata, *_entry_key(), *z_columns())
flag = Table(  # posted all the same: unknown_product, unknown_receipt, duplicate_op, ...
    "flag",
    metadata,
    *_entry_key(),
    Column("code", Text, primary_key=True),
    Column("detail", Text, nullable=False),
    Column("resolved", Boolean, nullable=False, server_default=text("false")),
)
Index("flag_open", flag.c.code, postgresql_where=text("NOT resolved"))
aside = Table(  # entries that can't be decoded or don't balance: kept, not posted
    "aside", metadata, *_entry_key(), Column("reason", Text, nullable=False), Column("at_ms", BigInteger)
)
resolution = Table(  # one per set-aside entry: written_off or posted
    "resolution",
    metadata,
    *_entry_key(),
    Column("op_id", Text, nullable=False, unique=True),
    Column("action", Text, nullable=False),
    Column("clerk", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)

masters: dict[str, Table] = {
    spec.name: Table(
        spec.name,
        metadata,
        *master_columns(spec),
        Column("deleted", Boolean, nullable=False, server_default=text("false")),
    )
    for spec in MASTERS
}
change = Table(  # names keys, not values; xid is the position, delta the change of the table's digest
    "change",
    metadata,
    Column("pos", BigInteger, primary_key=True),
    Column("xid", BigInteger, nullable=False, server_default=text("(pg_current_xact_id()::text)::bigint")),
    Column("tbl", Text, nullable=False),
    Column("key", Text, nullable=False),  # JSON array of the key columns
    Column("version", BigInteger, nullable=False),
    Column("urgent", Boolean, nullable=False, server_default=text("false")),
    Column("delta", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
Index("change_xid", change.c.xid)
Index("change_urgent", change.c.xid, postgresql_where=text("urgent"))
feed_floor = Table(  # one row: changes below this position, and tombstones with them, were removed
    "feed_floor",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("pos", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False, server_default=text("0")),  # none of a removed one was higher
)
feed_base = Table(  # what the removed changes had added to each table's digest, modulo 2**64 as signed
    "feed_base",
    metadata,
    Column("tbl", Text, primary_key=True),
    Column("delta", BigInteger, nullable=False),
)
operation = Table(  # a clerk's op id, kept for ever with its result
    "operation",
    metadata,
    Column("op_id", Text, primary_key=True),
    Column("clerk", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("result", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
standby_head = Table(  # what a journal's safe sequence is; unlogged: never replicated, empty after a crash
    STANDBY_HEADS,
    metadata,
    *_journal_key(),
    Column("term_n", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    prefixes=["UNLOGGED"],
)
stock_fold = Table(  # stock rows include each journal up to seq
    "stock_fold", metadata, *_journal_key(), Column("seq", BigInteger, nullable=False)
)
stock_count = Table(  # what a count changed: delta = counted - stock when it was counted
    "stock_count",
    metadata,
    Column("doc_no", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("counted", BigInteger, nullable=False),
    Column("delta", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
opening_stock = Table(  # stock as imported, the start of the stock sum
    "opening_stock",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("qty", BigInteger, nullable=False),
)
refusal = Table(  # what was refused for security's sake: by whom, why, how often
    "refusal",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("first_ms", BigInteger, nullable=False),
    Column("last_ms", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
)
lost_receipts = Table(  # printed numbers of a date that will never come, with the operator's evidence
    "lost_receipts",
    metadata,
    *_journal_key(),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("business_date", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("clerk", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
lost_entries = Table(  # what a journal goes on after although it is not here: its till had pruned it
    "lost_entries",
    metadata,
    *_journal_key(),
    Column("first_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("clerk", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
abandoned = Table(  # a till's day that will never be closed, with the operator's evidence
    "abandoned",
    metadata,
    Column("till", Text, primary_key=True),
    Column("business_date", Text, primary_key=True),
    Column("evidence", Text, nullable=False),
    Column("clerk", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
