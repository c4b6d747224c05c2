"""Opens a till's database, SQLite or PostgreSQL, and checks it before anything is sold.

Keeps: a commit that returned is on disk (synchronous=FULL); a damaged or foreign file is named and refused,
never repaired or overwritten; at a commit that failed nobody guesses.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.exc import SQLAlchemyError

from syncref.errors import ConfigInvalid, StorageCorrupt, StorageFailed, SyncrefError
from syncref.store.address import database_url
from syncref.store.till_faults import meaning, translated
from syncref.store.till_gate import WriteGate
from syncref.store.till_schema import metadata

BUSY_TIMEOUT_MS = 5_000
QUICK_CHECK_BYTES_MAX = 256 * 1024 * 1024
CHECKPOINT_PAGES_LATEST = 20_000
CACHE_KIB = 1024
WAL_BYTES_KEPT = 1024 * 1024
_CONNECT_TIMEOUT_S = 5


class CommitUnknown(StorageFailed):
    """The commit failed in a way that leaves open whether it happened: look the op id up."""

    code = "storage_failed"


class TillDatabase:
    """Connections of a till's database: for sales, for steps of the sync, and for reading."""

    def __init__(self, dsn: str) -> None:
        self._url = database_url(dsn)
        self.dialect = self._url.get_backend_name()
        if self.dialect not in ("sqlite", "postgresql"):
            raise ConfigInvalid(f"database: {self.dialect} is neither sqlite nor postgresql")
        self.path = Path(self._url.database or "") if self.dialect == "sqlite" else None
        self.where = str(self.path) if self.path else self._url.render_as_string(hide_password=True)
        self.gate = WriteGate()
        self._engine = self._make_engine()
        snapshot = {"isolation_level": "REPEATABLE READ"} if self.dialect == "postgresql" else {}
        self._reads = self._engine.execution_options(**snapshot)

    def _make_engine(self) -> Engine:
        if self.dialect == "postgresql":
            return create_engine(
                self._url,
                pool_size=4,
                max_overflow=4,
                pool_timeout=BUSY_TIMEOUT_MS / 1000,
                executemany_mode="values_plus_batch",
                connect_args={
                    "connect_timeout": _CONNECT_TIMEOUT_S,
                    "application_name": "syncref till",
                    "options": f"-c lock_timeout={BUSY_TIMEOUT_MS} -c statement_timeout=60000",
                    "keepalives_idle": 5,
                    "tcp_user_timeout": 10_000,
                },
            )
        engine = create_engine(
            self._url,
            pool_size=4,
            max_overflow=4,
            pool_timeout=BUSY_TIMEOUT_MS / 1000,
            connect_args={
                "timeout": BUSY_TIMEOUT_MS / 1000,
                "isolation_level": None,
                "check_same_thread": False,
                "cached_statements": 64,
            },
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    @contextmanager
    def sale(self) -> Iterator[Connection]:
        """Hold one durable write transaction, ahead of any sync step; commit at the end of the block."""
        with self.gate.sale():
            yield from self._write("FULL")

    @contextmanager
    def step(self, *, durable: bool = True) -> Iterator[Connection]:
        """Hold one small write transaction of the sync, after waiting sales.

        With durable=False a power cut may take it back, together with all such steps after it: for what
        is fetched again or known by the server anyway.
        """
        with self.gate.step():
            yield from self._write("FULL" if durable else "NORMAL")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Hold one snapshot for reading. It blocks no writer and no writer blocks it."""
        with translated(self.where), self._reads.connect() as connection, connection.begin():
            yield connection

    def _write(self, synchronous: str) -> Iterator[Connection]:
        with translated(self.where), self._engine.connect() as plain:
            connection = plain.execution_options(write=synchronous)
            transaction = connection.begin()
            try:
                yield connection
            except BaseException:
                transaction.rollback()
                raise
            try:
                transaction.commit()
            except (SQLAlchemyError, sqlite3.Error) as error:
                _close_quietly(plain)
                raise CommitUnknown(f"{self.where}: the commit failed: {error}", where=self.where) from error

    def reopen(self) -> None:
        """Drop every connection, so that the next ones read what is really stored."""
        self._engine.dispose()

    def checkpoint(self) -> None:
        """Move SQLite's write-ahead log into the database, without making any writer wait."""
        if self.path is None:
            return
        with translated(self.where), self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def truncate_log(self) -> bool:
        """Move all of SQLite's write-ahead log into the database and empty it; return whether that was possible.

        Another process that uses the database makes it impossible. A PostgreSQL database has no such log.
        """
        if self.path is None:
            return True
        with translated(self.where), self._engine.connect() as connection:
            return not connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]

    def wal_bytes(self) -> int:
        """Return the size of SQLite's write-ahead log; 0 for PostgreSQL."""
        if self.path is None:
            return 0
        try:
            return Path(f"{self.path}-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def has_tables(self) -> bool:
        """Return whether a till was provisioned here."""
        with translated(self.where), self._engine.connect() as connection:
            return inspect(connection).has_table("till")

    def create_tables(self) -> None:
        """Create the till's tables where they are absent."""
        with self.step() as connection:
            metadata.create_all(connection)

    def check(self) -> None:
        """Refuse a database that is absent, foreign or damaged, naming it."""
        if self.path is not None:
            if not self.path.is_file() or self.path.stat().st_size == 0:
                raise ConfigInvalid(
                    f"database: {self.where} is {'empty' if self.path.is_file() else 'not there'}; "
                    "`syncref provision till` makes a new till"
                )
            _check_sqlite_file(self.path)
        try:
            present = self.has_tables()
        except StorageFailed as error:
            raise ConfigInvalid(f"database: {error.message}") from error
        if not present:
            raise ConfigInvalid(f"database: {self.where} holds no till; `syncref provision till` makes one")
        if self.path is not None and self.path.stat().st_size <= QUICK_CHECK_BYTES_MAX:
            with self.read() as connection:
                found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
            if found != "ok":
                raise StorageCorrupt(f"{self.where} is damaged: {found}", where=self.where)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def unknown_outcome(error: SyncrefError) -> bool:
    """Return whether a failed write may have happened all the same."""
    return isinstance(error, CommitUnknown)


def what_failed(error: CommitUnknown, *, where: str) -> SyncrefError:
    """Return what made a commit fail, once a look-up has shown that it did not happen."""
    return meaning(error.__cause__, where=where) if error.__cause__ is not None else error


def _check_sqlite_file(path: Path) -> None:
    with translated(str(path)), path.open("rb") as file:
        magic = file.read(16)
    if magic != b"SQLite format 3\x00":
        raise StorageCorrupt(f"{path} is damaged: it does not begin like a SQLite database", where=str(path))


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES_KEPT}")
    connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES_LATEST}")


def _begin_sqlite(connection: Connection) -> None:
    synchronous: Any = connection.get_execution_options().get("write")
    if synchronous is None:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _close_quietly(connection: Connection) -> None:
    try:
        connection.invalidate()
    except (SQLAlchemyError, sqlite3.Error):
        return
