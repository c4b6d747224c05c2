"""What a failing database means: library errors become the catalogue's, once, at this edge.

Keeps the difference between "it did not happen" and "nobody knows": only the latter makes the till reopen
its database and look an op id up.
"""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from syncref.errors import Busy, DiskFull, StorageCorrupt, StorageFailed, SyncrefError

_PRIMARY_CODE = 0xFF
_POSTGRES_CORRUPT = ("XX001", "XX002")
_RETRY_AFTER_MS = 200


def meaning(error: BaseException, *, where: str) -> SyncrefError:
    """Return the catalogue's error for a library's. `where` names the database without its secrets."""
    if isinstance(error, SyncrefError):
        return error
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return _sqlite(cause, where)
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"no room left at {where}", where=where)
    if isinstance(error, PoolTimeout):
        return Busy(f"all connections to {where} are in use", retry_after_ms=_RETRY_AFTER_MS)
    return _postgres(cause, where)


def _sqlite(error: sqlite3.Error, where: str) -> SyncrefError:
    code = getattr(error, "sqlite_errorcode", None) or 0
    primary = code & _PRIMARY_CODE
    if primary == sqlite3.SQLITE_FULL:
        return DiskFull(f"no room left at {where}", where=where)
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StorageCorrupt(f"{where} is damaged: {error}", where=where)
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy(f"{where} is locked by another process", retry_after_ms=_RETRY_AFTER_MS)
    return StorageFailed(f"{where} failed: {error}", where=where)


def _postgres(error: BaseException | None, where: str) -> SyncrefError:
    state = getattr(error, "pgcode", None) or ""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if state == "53100":
        return DiskFull(f"no room left at {where}", where=where)
    if state in _POSTGRES_CORRUPT:
        return StorageCorrupt(f"{where} is damaged: {text}", where=where)
    if state.startswith("40") or state == "55P03":
        return Busy(f"{where} is busy: {text}", retry_after_ms=_RETRY_AFTER_MS)
    return StorageFailed(f"{where} failed: {text}", where=where)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Translate whatever the database or its disk raises inside."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise meaning(error, where=where) from error
