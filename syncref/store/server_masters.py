"""Writing masters: versions are raised under each row's lock, and every change is named in the log.

Rows are locked in key order; a key that is not there yet gets an invisible tombstone of the lowest version first,
so that two clerks who create one key meet at the same lock. A key whose tombstone was removed may be created
again: no key goes to a lower version, so versions of keys that are not there begin above all removed ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, text

from syncref.domain.masters import DIGEST_MODULUS, MasterTable, Row, row_digest
from syncref.store.server_copy import copy_rows

_SQL_TYPES = {"text": "text", "int": "bigint"}
_HALF = DIGEST_MODULUS >> 1
_CHUNK = 10_000
CHANGE_COLUMNS = ("tbl", "key", "version", "urgent", "delta", "at_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A master row as it is stored; `values` in travelling order, of a tombstone the last ones."""

    values: Row
    version: int
    deleted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A row that was written: its table, key and new version."""

    table: str
    key: Row
    version: int


def key_text(key: Row) -> str:
    """Return a key as the change log names it: a JSON array."""
    return msgspec.json.encode(key).decode()


def signed(value: int) -> int:
    """Return a number modulo 2**64 as a signed 64-bit one, which PostgreSQL can hold."""
    return (value + _HALF) % DIGEST_MODULUS - _HALF


def lock_rows(connection: Connection, spec: MasterTable, keys: Iterable[Row]) -> dict[Row, Stored]:
    """Lock the rows of these keys for this transaction and return them; absent keys get a tombstone."""
    found: dict[Row, Stored] = {}
    ordered = sorted(set(keys))
    for start in range(0, len(ordered), _CHUNK):
        arrays, names, source = _arrays(spec.key, ordered[start : start + _CHUNK])
        connection.execute(
            text(
                f'INSERT INTO "{spec.name}" ({names}, version, deleted) '
                f"SELECT {names}, (SELECT version FROM feed_floor), true FROM {source} "
                f"ORDER BY {names} ON CONFLICT DO NOTHING"
            ),
            arrays,
        )
        found.update(_select(connection, spec, arrays, source, lock=True))
    return found


def read_rows(connection: Connection, spec: MasterTable, keys: Sequence[Row]) -> dict[Row, Stored]:
    """Return the stored rows of these keys, tombstones included; unknown keys are left out."""
    found: dict[Row, Stored] = {}
    for start in range(0, len(keys), _CHUNK):
        arrays, _, source = _arrays(spec.key, keys[start : start + _CHUNK])
        found.update(_select(connection, spec, arrays, source, lock=False))
    return found


def all_rows(connection: Connection, spec: MasterTable) -> dict[Row, Row | None]:
    """Return the values of all rows of a table by key, None for tombstones."""
    columns = ", ".join(f'"{name}"' for name in spec.column_names)
    width = len(spec.key)
    result = connection.execute(text(f'SELECT {columns}, deleted FROM "{spec.name}"'))
    return {tuple(row[:width]): None if row[-1] else tuple(row[width:-1]) for row in result}


def put_rows(
    connection: Connection,
    spec: MasterTable,
    locked: Mapping[Row, Stored],
    rows: Mapping[Row, Row | None],
    *,
    at_ms: int,
    urgent: bool = False,
) -> list[Written]:
    """Write new values (None deletes) to rows that were locked, and log the changes."""
    written: list[Written] = []
    updates: list[tuple[object, ...]] = []
    changes: list[tuple[object, ...]] = []
    for key, values in rows.items():
        old = locked[key]
        version = old.version + 1
        kept = old.values if values is None else values
        updates.append((*key, *kept, version, values is None))
        changes.append(change_row(spec, key, old, values, version, at_ms=at_ms, urgent=urgent))
        written.append(Written(table=spec.name, key=key, version=version))
    for start in range(0, len(updates), _CHUNK):
        _update(connection, spec, updates[start : start + _CHUNK])
    _log(connection, changes)
    return written


def change_row(
    spec: MasterTable, key: Row, old: Stored | None, values: Row | None, version: int, *, at_ms: int, urgent: bool
) -> tuple[object, ...]:
    """Return the change log's row (CHANGE_COLUMNS) for one write."""
    before = 0
    if old is not None and not old.deleted:
        before = row_digest(spec.name, (*key, *old.values), old.version)
    after = 0 if values is None else row_digest(spec.name, (*key, *values), version)
    return spec.name, key_text(key), version, urgent, signed(after - before), at_ms


def insert_rows(connection: Connection, spec: MasterTable, rows: Mapping[Row, Row], *, at_ms: int) -> None:
    """COPY rows that are known to be absent, as their first versions, and log them. For imports."""
    first = 1 + int(connection.execute(text("SELECT version FROM feed_floor")).scalar_one())
    columns = (*spec.column_names, "version", "deleted")
    copy_rows(connection, spec.name, columns, ((*key, *values, first, False) for key, values in rows.items()))
    _log(
        connection,
        [change_row(spec, key, None, values, first, at_ms=at_ms, urgent=False) for key, values in rows.items()],
    )


def _log(connection: Connection, changes: list[tuple[object, ...]]) -> None:
    if len(changes) > 200:
        copy_rows(connection, "change", CHANGE_COLUMNS, changes)
    elif changes:
        columns = ", ".join(CHANGE_COLUMNS)
        values = ", ".join(":" + name for name in CHANGE_COLUMNS)
        connection.execute(
            text(f"INSERT INTO change ({columns}) VALUES ({values})"),
            [dict(zip(CHANGE_COLUMNS, row, strict=True)) for row in changes],
        )


def _arrays(
    columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]]
) -> tuple[dict[str, list[object]], str, str]:
    """Return bind arrays, the column list, and an unnest() of the arrays with those column names."""
    arrays = {f"a{i}": [row[i] for row in rows] for i in range(len(columns))}
    names = ", ".join(f'"{name}"' for name, _ in columns)
    casts = ", ".join(f"CAST(:a{i} AS {_SQL_TYPES.get(kind, kind)}[])" for i, (_, kind) in enumerate(columns))
    return arrays, names, f"unnest({casts}) AS k ({names})"


def _select(
    connection: Connection, spec: MasterTable, arrays: dict[str, list[object]], source: str, *, lock: bool
) -> dict[Row, Stored]:
    columns = ", ".join(f't."{name}"' for name in spec.column_names)
    names = ", ".join(f'"{name}"' for name in spec.key_names)
    order = ", ".join(f't."{name}"' for name in spec.key_names)
    result = connection.execute(
        text(
            f'SELECT {columns}, t.version, t.deleted FROM "{spec.name}" t JOIN {source} USING ({names}) '
            f"ORDER BY {order} {'FOR UPDATE OF t' if lock else ''}"
        ),
        arrays,
    )
    width = len(spec.key)
    return {
        tuple(row[:width]): Stored(values=tuple(row[width:-2]), version=row[-2], deleted=row[-1]) for row in result
    }


def _update(connection: Connection, spec: MasterTable, rows: list[tuple[object, ...]]) -> None:
    columns = (*spec.key, *spec.values, ("version", "bigint"), ("deleted", "boolean"))
    arrays, _, source = _arrays(columns, rows)
    sets = ", ".join(f'"{name}" = k."{name}"' for name, _ in columns[len(spec.key) :])
    match = " AND ".join(f't."{name}" = k."{name}"' for name, _ in spec.key)
    connection.execute(text(f'UPDATE "{spec.name}" t SET {sets} FROM {source} WHERE {match}'), arrays)
