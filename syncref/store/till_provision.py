"""Makes a new till: its database with a fresh incarnation, never over one that holds something."""

from __future__ import annotations

import secrets
from pathlib import Path

from sqlalchemy import insert, select

from syncref.domain.identity import ID_BYTES, Key, genesis_hash
from syncref.errors import ConfigInvalid, StorageCorrupt, StorageFailed
from syncref.store.till_faults import translated
from syncref.store.till_open import TillDatabase
from syncref.store.till_schema import till
from syncref.store.till_state import TillState, read_state


def provision(database: TillDatabase, *, name: str, cluster: str) -> Key:
    """Create the till's tables and its identity, and return the identity.

    Raises ConfigInvalid when the database already holds a till or is something else.
    """
    if database.path is not None:
        _check_free(database.path)
        with translated(database.where):
            database.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        taken = database.has_tables()
    except StorageFailed as error:
        raise ConfigInvalid(f"database: {error.message}") from error
    except StorageCorrupt as error:
        raise ConfigInvalid(f"database: {error.message}; nothing was changed") from error
    if taken:
        with database.read() as connection:
            row = connection.execute(select(till.c.till)).one_or_none()
        if row is not None:
            raise ConfigInvalid(f"database: {database.where} holds till {row.till} already; nothing was changed")
    database.create_tables()
    key = Key(till=name, incarnation=secrets.token_bytes(ID_BYTES))
    with database.step() as connection:
        connection.execute(
            insert(till),
            {
                "one": 1,
                "till": name,
                "cluster": cluster,
                "incarnation": key.incarnation,
                "head_seq": 0,
                "head_hash": genesis_hash(cluster=cluster, key=key),
                "counter": 0,
                "mode": "closed",
                "time_floor_ms": 0,
                "acked": 0,
                "safe": 0,
                "cursor_pos": 0,
                "urgent_pos": 0,
                "stock_seq": 0,
                "loaded": False,
                "overlay": False,
            },
        )
    return key


def identity(database: TillDatabase, *, name: str) -> TillState:
    """Return who the till in a database is. Raises ConfigInvalid when it is another till."""
    with database.read() as connection:
        state = read_state(connection)
    if state.till != name:
        raise ConfigInvalid(f"database: {database.where} is till {state.till}'s, and [till] name is {name!r}")
    return state


def _check_free(path: Path) -> None:
    if path.exists() and path.stat().st_size and path.read_bytes()[:16] != b"SQLite format 3\x00":
        raise ConfigInvalid(f"database: {path} exists and is no SQLite database; nothing was changed")
