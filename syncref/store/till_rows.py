"""Statements over the master tables and their stages, the same for SQLite and PostgreSQL.

Written as SQL, because a run of 100,000 rows goes through them: the driver's own bulk calls, no row objects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection

from syncref.domain.masters import DIGEST_MODULUS, MASTER_BY_NAME, MASTERS, Row, row_digest
from syncref.errors import RequestInvalid
from syncref.wire.sync import FeedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSql:
    """Statements of one table. `width` columns make a row, its first `keys` are the key, then comes version."""

    name: str
    keys: int
    width: int
    key_columns: str
    insert: str
    upsert: str
    delete: str
    find: str
    stage: str
    stage_page: str
    stage_boundary: str
    merge: str
    merge_deletes: str
    unstage: str


@cache
def sql_of(dialect: str, table: str) -> TableSql:
    """Return a table's statements with the dialect's placeholders."""
    spec = MASTER_BY_NAME[table]
    mark = "?" if dialect == "sqlite" else "%s"
    keys = spec.key_names
    columns = (*spec.column_names, "version")
    others = columns[len(keys) :]
    column_list, key_list = ", ".join(columns), ", ".join(keys)
    marks, key_marks = ", ".join([mark] * len(columns)), ", ".join([mark] * len(keys))
    sets = ", ".join(f"{name} = excluded.{name}" for name in others)
    key_is = " AND ".join(f"{name} = {mark}" for name in keys)
    same_key = " AND ".join(f"l.{name} = s.{name}" for name in keys)
    staged_keys = ", ".join(f"s.{name}" for name in keys)
    stage = f"stage_{table}"
    up_to = f"({key_list}) <= ({key_marks})"
    wins = "(l.version IS NULL OR s.forced = 1 OR s.version >= l.version)"
    return TableSql(
        name=table,
        keys=len(keys),
        width=len(spec.column_names),
        key_columns=key_list,
        insert=f"INSERT INTO {table} ({column_list}) VALUES ({marks})",
        upsert=f"INSERT INTO {table} ({column_list}) VALUES ({marks}) "
        f"ON CONFLICT ({key_list}) DO UPDATE SET {sets}",
        delete=f"DELETE FROM {table} WHERE {key_is}",
        find=f"SELECT {column_list} FROM {table} WHERE {key_is}",
        stage=f"INSERT INTO {stage} ({column_list}, deleted, forced) VALUES ({marks}, {mark}, 0) "
        f"ON CONFLICT ({key_list}) DO UPDATE SET {sets}, deleted = excluded.deleted, forced = excluded.forced "
        f"WHERE excluded.version > {stage}.version",
        stage_page=f"SELECT {', '.join(f's.{name}' for name in columns)}, s.deleted, "
        f"{', '.join(f'l.{name}' for name in columns)} FROM {stage} s "
        f"LEFT JOIN {table} l ON {same_key} "
        f"WHERE ({staged_keys}) > ({key_marks}) ORDER BY {staged_keys} LIMIT {mark}",
        stage_boundary=f"SELECT {key_list} FROM {stage} ORDER BY {key_list} LIMIT 1 OFFSET {mark}",
        merge=f"INSERT INTO {table} ({column_list}) "
        f"SELECT {', '.join(f's.{name}' for name in columns)} FROM {stage} s "
        f"LEFT JOIN {table} l ON {same_key} "
        f"WHERE ({staged_keys}) <= ({key_marks}) AND s.deleted = 0 AND {wins} "
        f"ON CONFLICT ({key_list}) DO UPDATE SET {sets}",
        merge_deletes=f"DELETE FROM {table} WHERE ({key_list}) IN (SELECT {staged_keys} FROM {stage} s "
        f"JOIN {table} l ON {same_key} WHERE ({staged_keys}) <= ({key_marks}) AND s.deleted = 1 AND {wins})",
        unstage=f"DELETE FROM {stage} WHERE {up_to}",
    )


def first_key(dialect: str, table: str) -> tuple[object, ...]:
    """Return a key that sorts before every key of a table."""
    return tuple("" if kind == "text" else -(2**63) for _, kind in MASTER_BY_NAME[table].key)


def by_table(rows: Iterable[FeedRow]) -> dict[str, list[FeedRow]]:
    """Return rows by table, in the order of the masters. Raises RequestInvalid for what is not a row of ours."""
    grouped: defaultdict[str, list[FeedRow]] = defaultdict(list)
    for row in rows:
        grouped[row.table].append(row)
    for table, found in grouped.items():
        spec = MASTER_BY_NAME.get(table)
        if spec is None:
            raise RequestInvalid(f"the server sent a row of an unknown table {table!r}")
        keys, width = len(spec.key), len(spec.column_names)
        shapes = {(len(row.row), row.deleted) for row in found}
        if any(length < keys or (length != width and not deleted) for length, deleted in shapes):
            raise RequestInvalid(f"the server sent a row of {table} that has not {width} columns")
    return {spec.name: grouped[spec.name] for spec in MASTERS if spec.name in grouped}


def many(connection: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run a statement once per row, by the driver's bulk call."""
    if rows:
        connection.exec_driver_sql(sql, list(rows))


def staged(row: FeedRow, sql: TableSql) -> tuple[Any, ...]:
    """Return a row as its stage holds it: all columns, version, deleted."""
    columns = row.row[: sql.keys] + (None,) * (sql.width - sql.keys) if row.deleted else row.row
    return (*columns, row.version, int(row.deleted))


def signed_digest(table: str, row: Row, version: int | None) -> int:
    """Return a row's digest; 0 for no row."""
    return 0 if version is None else row_digest(table, row, version)


def read_digests(connection: Connection) -> dict[str, int]:
    """Return the digest of every table, over the rows that a sale sees."""
    found = {name: int(value) for name, value in connection.exec_driver_sql("SELECT tbl, value FROM digest")}
    return {spec.name: found.get(spec.name, 0) for spec in MASTERS}


def write_digests(connection: Connection, dialect: str, digests: dict[str, int]) -> None:
    """Set the digests of some tables."""
    mark = "?" if dialect == "sqlite" else "%s"
    many(
        connection,
        f"INSERT INTO digest (tbl, value) VALUES ({mark}, {mark}) "
        "ON CONFLICT (tbl) DO UPDATE SET value = excluded.value",
        [(name, str(value % DIGEST_MODULUS)) for name, value in digests.items()],
    )
