"""Witness databases, read by SQL: a consistent copy of a till's SQLite file, or one snapshot of PostgreSQL.

Keeps: reading a witness changes nothing in it, and everything read of one database is of one instant.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

import psycopg2
from psycopg2.extensions import connection as PgConnection  # noqa: N812 - a class under a lower-case name

ROWS_AT_ONCE = 5000
BUSY_TIMEOUT_S = 5.0


class WitnessUnreadable(Exception):
    """A witness database can't be read; the message says which and why."""


class Snapshot(Protocol):
    """One consistent state of a witness database."""

    def rows(self, sql: str) -> tuple[Sequence[str], Iterator[tuple[Any, ...]]]:
        """Return column names and the rows, streamed; text and whole numbers only."""

    def hex(self, column: str) -> str:
        """Return SQL that gives a binary column as lowercase hexadecimal."""


@dataclass(frozen=True, slots=True)
class Database:
    """Where a witness is: a SQLAlchemy URL of SQLite or PostgreSQL."""

    url: str

    @property
    def is_sqlite(self) -> bool:
        """Say whether it is an SQLite file."""
        return self.url.startswith("sqlite:")

    @property
    def file(self) -> Path:
        """Return the SQLite file."""
        return Path(unquote(self.url.split("///", 1)[1].split("?")[0]))

    @property
    def dsn(self) -> str:
        """Return what psycopg2 connects to."""
        return "postgresql://" + self.url.split("://", 1)[1]

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Open one consistent state; raises WitnessUnreadable."""
        try:
            with self._sqlite() if self.is_sqlite else self._postgresql() as found:
                yield found
        except (sqlite3.Error, psycopg2.Error, OSError) as error:
            raise WitnessUnreadable(f"{self.shown}: {str(error).strip() or type(error).__name__}") from error

    @property
    def shown(self) -> str:
        """The address without a password."""
        head, _, tail = self.url.rpartition("@")
        return f"{head.split('://')[0]}://{tail}" if head else self.url

    @contextlib.contextmanager
    def _sqlite(self) -> Iterator[Snapshot]:
        if not self.file.exists():
            raise OSError("there is no such file")
        with tempfile.TemporaryDirectory(prefix="tillproof-copy-") as folder:
            copy = sqlite3.connect(Path(folder) / "copy.db")
            source = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)
            try:
                source.backup(copy)
                yield _SqliteSnapshot(copy)
            finally:
                source.close()
                copy.close()

    @contextlib.contextmanager
    def _postgresql(self) -> Iterator[Snapshot]:
        with contextlib.closing(psycopg2.connect(self.dsn, connect_timeout=10)) as connection:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            yield _PostgresSnapshot(connection)


@dataclass(slots=True)
class _SqliteSnapshot:
    connection: sqlite3.Connection

    def rows(self, sql: str) -> tuple[Sequence[str], Iterator[tuple[Any, ...]]]:
        cursor = self.connection.execute(sql)
        return [column[0] for column in cursor.description], cursor

    def hex(self, column: str) -> str:
        return f"lower(hex({column}))"


@dataclass(slots=True)
class _PostgresSnapshot:
    connection: PgConnection
    opened: int = 0

    def rows(self, sql: str) -> tuple[Sequence[str], Iterator[tuple[Any, ...]]]:
        self.opened += 1
        cursor = self.connection.cursor(f"witness_{self.opened}")
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(sql)
        first = cursor.fetchmany(ROWS_AT_ONCE)
        assert cursor.description is not None
        names = [column.name for column in cursor.description]

        def stream() -> Iterator[tuple[Any, ...]]:
            chunk = first
            while chunk:
                yield from chunk
                chunk = cursor.fetchmany(ROWS_AT_ONCE)
            cursor.close()

        return names, stream()

    def hex(self, column: str) -> str:
        return f"encode({column}, 'hex')"
