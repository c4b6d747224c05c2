"""The till's tables (SQLite or PostgreSQL)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    event,
    false,
)

from syncref.domain.masters import MASTERS
from syncref.store.columns import line_columns, master_columns, receipt_columns, z_columns

metadata = MetaData()

till = Table(  # one row: who this till is, and how far it got
    "till",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("till", Text, nullable=False),
    Column("cluster", Text, nullable=False),
    Column("incarnation", LargeBinary, nullable=False),
    Column("head_seq", BigInteger, nullable=False),
    Column("head_hash", LargeBinary, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("business_date", Text),  # None: no day is open
    Column("closed_date", Text),  # the last date closed
    Column("mode", Text, nullable=False),  # selling, closed, draining, frozen
    Column("time_floor_ms", BigInteger, nullable=False),
    Column("acked", BigInteger, nullable=False),
    Column("safe", BigInteger, nullable=False),
    Column("term_n", BigInteger),
    Column("term_id", LargeBinary),
    Column("cursor_n", BigInteger),
    Column("cursor_id", LargeBinary),
    Column("cursor_pos", BigInteger, nullable=False),
    Column("urgent_pos", BigInteger, nullable=False),
    Column("stock_seq", BigInteger, nullable=False),
    Column("loaded", Boolean, nullable=False, server_default=false()),  # initial load finished and verified
    Column("masters_ms", BigInteger),  # when a run was last applied
    Column("contact_ms", BigInteger),
    Column("alarm", Text),  # e.g. forked at 17
    Column("overlay", Boolean, nullable=False, server_default=false()),  # an applied run is still being merged
)
trusted_time = Table(  # one row: a time that the true time is not before, as servers told it
    "trusted_time",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("at_s", BigInteger, nullable=False),
)
journal = Table(
    "journal",
    metadata,
    Column("incarnation", LargeBinary, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)


def _mark(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("incarnation", LargeBinary, primary_key=True),
        Column("seq", BigInteger, nullable=False),
        Column("hash", LargeBinary, nullable=False),
    )


continued = _mark("continued")  # journals that another one continues after this mark
anchor = _mark("anchor")  # the last pruned mark of a journal


def _entry_key() -> list[Column[Any]]:
    return [
        Column("incarnation", LargeBinary, primary_key=True),
        Column("seq", BigInteger, primary_key=True, autoincrement=False),
    ]


receipt = Table("receipt", metadata, *_entry_key(), *receipt_columns())
Index("receipt_number", receipt.c.receipt_no, unique=True)
Index("receipt_op", receipt.c.op_id, unique=True)
Index("receipt_date", receipt.c.business_date)
# as an Index it would name an option of PostgreSQL, for which every till on SQLite imports that dialect: 70 ms
_REFERS = "CREATE INDEX receipt_ref ON receipt (ref) WHERE ref IS NOT NULL"
event.listen(receipt, "after_create", DDL(_REFERS))  # type: ignore[no-untyped-call]  # DDL has no types
line = Table(
    "line",
    metadata,
    *_entry_key(),
    Column("line_no", Integer, primary_key=True, autoincrement=False),
    *line_columns(),
    sqlite_with_rowid=False,
)
payment = Table(
    "payment",
    metadata,
    *_entry_key(),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("tender", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
z_report = Table("z_report", metadata, *_entry_key(), *z_columns())
operation = Table(  # op id, kept for ever with its result (JSON, as it was answered)
    "operation",
    metadata,
    Column("op_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("result", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
masters: dict[str, Table] = {
    spec.name: Table(spec.name, metadata, *master_columns(spec), sqlite_with_rowid=False) for spec in MASTERS
}
# Rows of a run. Invisible to a sale while `till.overlay` is false; once it is true the run is applied, and
# a look-up takes the staged row over the live one until the merge has moved it there.
stages: dict[str, Table] = {
    spec.name: Table(
        f"stage_{spec.name}",
        metadata,
        *master_columns(spec),
        Column("deleted", Integer, nullable=False),
        Column("forced", Integer, nullable=False),  # of a refetched table: wins whatever its version
        sqlite_with_rowid=False,
    )
    for spec in MASTERS
}
run = Table(  # the run being staged or merged, resumable: at most one row
    "run",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("run", LargeBinary, nullable=False),
    Column("term_n", BigInteger, nullable=False),
    Column("term_id", LargeBinary, nullable=False),
    Column("from_pos", BigInteger, nullable=False),  # the cursor it began at: compare-and-set
    Column("round_from", BigInteger, nullable=False),
    Column("scan_to", BigInteger),
    Column("after_tbl", Text),
    Column("after_key", Text),
    Column("replaces", Text, nullable=False),  # JSON array: tables that are replaced whole
)
load = Table(  # an initial load that is not finished, resumable: at most one row
    "load",
    metadata,
    Column("one", Integer, primary_key=True),
    Column("tables", Text, nullable=False),  # JSON array: those left, the first one under way
    Column("term_n", BigInteger, nullable=False),
    Column("term_id", LargeBinary, nullable=False),
    Column("start_pos", BigInteger, nullable=False),
    Column("after", Text),
)
digest = Table(  # of the rows that a sale sees, kept with every change of them
    "digest",
    metadata,
    Column("tbl", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_with_rowid=False,
)
