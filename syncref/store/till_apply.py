"""The end of a run: one transaction moves the cursor and makes all of the run visible, however long it is.

A short run is written to its tables in that transaction. A long one was staged; the transaction only turns the
overlay on, so that look-ups take staged rows over live ones, and the merge follows in small steps. Either way
the digests are those of the rows that a sale sees, and no row goes to a lower version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from syncref.core.downlink_messages import Apply, ApplyUrgent
from syncref.domain.identity import Cursor, Term
from syncref.domain.masters import MASTERS, Row
from syncref.errors import Busy
from syncref.store.till_open import TillDatabase
from syncref.store.till_rows import (
    TableSql,
    by_table,
    first_key,
    many,
    read_digests,
    signed_digest,
    sql_of,
    staged,
    write_digests,
)
from syncref.store.till_stage import Rest, clear, read_run, stage_rows, write_run
from syncref.store.till_state import TillState, read_state, write_state
from syncref.wire.sync import FeedRow

DIRECT_ROWS_MAX = 100
_PAGE_ROWS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an apply came to. conflict: nothing was applied. `regressed`: rows replaced by older versions."""

    conflict: bool
    cursor: Cursor | None
    loaded: bool
    urgent_pos: int = 0
    mismatched: tuple[str, ...] = ()
    regressed: int = 0
    merging: bool = False


def cursor_of(state: TillState) -> Cursor | None:
    """Return the stored cursor."""
    if state.cursor_n is None or state.cursor_id is None:
        return None
    return Cursor(
        term=Term(cluster=state.cluster, n=state.cursor_n, id=bytes(state.cursor_id)), pos=state.cursor_pos
    )


def _outrun(state: TillState, effect: Apply) -> bool:
    """Return whether another run or urgent page was faster than this run."""
    cursor = cursor_of(state)
    same_term = cursor is not None and cursor.term == effect.run.term
    return cursor != effect.expected or (same_term and state.urgent_pos > effect.urgent_pos)


def _conflict(state: TillState) -> Outcome:
    return Outcome(conflict=True, cursor=cursor_of(state), loaded=state.loaded, urgent_pos=state.urgent_pos)


def apply(database: TillDatabase, effect: Apply, *, now_ms: int, rest: Rest) -> Outcome:
    """End a run. `now_ms`: the till's clock."""
    with database.read() as connection:
        run = read_run(connection, cluster=effect.cursor.term.cluster)
        overlay = read_state(connection).overlay
    own = run is not None and run.id == effect.run.id
    if not own and not overlay and not effect.run.replace and len(effect.rows) <= DIRECT_ROWS_MAX:
        return _apply_directly(database, effect, now_ms=now_ms)
    if overlay:
        raise Busy("the run before is still being merged")
    if not own:
        with database.step(durable=False) as connection:
            clear(connection)
            write_run(connection, effect.run)
    stage_rows(database, effect.rows, rest=rest)
    for table in effect.run.replace:
        _replace_whole(database, table, rest=rest)
    return _switch(database, effect, now_ms=now_ms, rest=rest)


def _apply_directly(database: TillDatabase, effect: Apply, *, now_ms: int) -> Outcome:
    with database.step() as connection:
        state = read_state(connection, lock=True)
        if _outrun(state, effect) or state.overlay:
            return _conflict(state)
        digests = read_digests(connection)
        _write_rows(connection, database.dialect, effect.rows, digests)
        mismatched = _finish(connection, effect, state, digests, now_ms=now_ms, merging=False)
    return Outcome(
        conflict=False, cursor=effect.cursor, loaded=state.loaded or not mismatched, mismatched=mismatched
    )


def _write_rows(connection: Connection, dialect: str, rows: Sequence[FeedRow], digests: dict[str, int]) -> None:
    """Write rows to the live tables where their version is higher, and move the digests along."""
    for table, found in by_table(rows).items():
        sql = sql_of(dialect, table)
        upserts: list[Row] = []
        deletes: list[Row] = []
        newest = {row.row[: sql.keys]: row for row in sorted(found, key=lambda row: row.version)}
        for key, row in newest.items():
            present = connection.exec_driver_sql(sql.find, key).one_or_none()
            version = None if present is None else present[-1]
            if version is not None and row.version <= version:
                continue
            if present is not None:
                digests[table] -= signed_digest(table, tuple(present[:-1]), version)
            if row.deleted:
                deletes.append(key)
            else:
                digests[table] += signed_digest(table, row.row, row.version)
                upserts.append((*row.row, row.version))
        many(connection, sql.upsert, upserts)
        many(connection, sql.delete, deletes)
        if deletes or upserts:
            write_digests(connection, dialect, {table: digests[table]})


def apply_urgent(database: TillDatabase, effect: ApplyUrgent) -> None:
    """Write urgent rows at once, live and, for a run under way, staged: an older staged row never wins later."""
    with database.step() as connection:
        state = read_state(connection, lock=True)
        cursor = cursor_of(state)
        here = cursor is not None and cursor.term == effect.term
        if here and state.urgent_pos >= effect.urgent_pos:
            return
        run = read_run(connection, cluster=state.cluster)
        for table, found in by_table(effect.rows).items():
            sql = sql_of(database.dialect, table)
            if state.overlay:
                _settle_overlay(connection, database.dialect, table, found)
            elif run is not None:
                many(connection, sql.stage, [staged(row, sql) for row in found])
        digests = read_digests(connection)
        _write_rows(connection, database.dialect, effect.rows, digests)
        if here:
            write_state(connection, urgent_pos=effect.urgent_pos)


def _settle_overlay(connection: Connection, dialect: str, table: str, rows: Sequence[FeedRow]) -> None:
    """Merge the staged rows of some keys, so that live rows are what a sale sees of them."""
    sql = sql_of(dialect, table)
    mark = "?" if dialect == "sqlite" else "%s"
    columns = (*(name for name, _ in _spec(table)), "version")
    key_is = " AND ".join(f"{name} = {mark}" for name in columns[: sql.keys])
    for row in rows:
        key = row.row[: sql.keys]
        held = connection.exec_driver_sql(
            f"SELECT {', '.join(columns)}, deleted, forced FROM stage_{table} WHERE {key_is}",
            key,
        ).one_or_none()
        if held is None:
            continue
        present = connection.exec_driver_sql(sql.find, key).one_or_none()
        if present is None or held[-1] or held[sql.width] >= present[-1]:
            if held[-2]:
                many(connection, sql.delete, [key])
            else:
                many(connection, sql.upsert, [tuple(held[: sql.width + 1])])
        connection.exec_driver_sql(f"DELETE FROM stage_{table} WHERE {key_is}", key)


def _spec(table: str) -> tuple[tuple[str, str], ...]:
    found = next(spec for spec in MASTERS if spec.name == table)
    return found.key + found.values


def _replace_whole(database: TillDatabase, table: str, *, rest: Rest) -> None:
    """Make the stage say all of a table: what it holds wins whatever its version, the rest is deleted."""
    sql = sql_of(database.dialect, table)
    mark = "?" if database.dialect == "sqlite" else "%s"
    same = " AND ".join(f"s.{name} = l.{name}" for name in sql.key_columns.split(", "))
    keys = ", ".join(f"l.{name}" for name in sql.key_columns.split(", "))
    gone = (
        f"INSERT INTO stage_{table} ({sql.key_columns}, version, deleted, forced) "
        f"SELECT {keys}, l.version, 1, 1 FROM {table} l WHERE NOT EXISTS "
        f"(SELECT 1 FROM stage_{table} s WHERE {same}) ORDER BY {keys} LIMIT {mark}"
    )
    with database.step(durable=False) as connection:
        connection.exec_driver_sql(f"UPDATE stage_{table} SET forced = 1")
    while True:
        with database.step(durable=False) as connection:
            if not connection.exec_driver_sql(gone, (_PAGE_ROWS,)).rowcount:
                return
        rest()


def _switch(database: TillDatabase, effect: Apply, *, now_ms: int, rest: Rest) -> Outcome:
    """Turn the overlay on with the new cursor, once the digests are known that this will have."""
    while True:
        before, after, regressed = _digests_after(database, effect.run.replace, rest=rest)
        with database.step() as connection:
            state = read_state(connection, lock=True)
            run = read_run(connection, cluster=state.cluster)
            if _outrun(state, effect) or run is None or run.id != effect.run.id:
                return _conflict(state)
            if read_digests(connection) != before:
                continue
            write_digests(connection, database.dialect, after)
            mismatched = _finish(connection, effect, state, after, now_ms=now_ms, merging=True)
            connection.exec_driver_sql("DELETE FROM run")
        return Outcome(
            conflict=False,
            cursor=effect.cursor,
            loaded=state.loaded or not mismatched,
            mismatched=mismatched,
            regressed=regressed,
            merging=True,
        )


def _digests_after(
    database: TillDatabase, replaced: Sequence[str], *, rest: Rest
) -> tuple[dict[str, int], dict[str, int], int]:
    """Return the digests now, those once the stage counts, and how many rows then have a lower version."""
    with database.read() as connection:
        before = read_digests(connection)
        after = dict(before)
        regressed = 0
        for spec in MASTERS:
            sql = sql_of(database.dialect, spec.name)
            key = first_key(database.dialect, spec.name)
            forced = spec.name in replaced
            while True:
                page = connection.exec_driver_sql(sql.stage_page, (*key, _PAGE_ROWS)).all()
                for row in page:
                    change, older = _change(spec.name, sql, tuple(row), forced=forced)
                    after[spec.name] += change
                    regressed += older
                if len(page) < _PAGE_ROWS:
                    break
                key = tuple(page[-1][: sql.keys])
                rest()
    return before, after, regressed


def _change(table: str, sql: TableSql, pair: Row, *, forced: bool) -> tuple[int, bool]:
    """Return how a staged row changes its table's digest, and whether it has a lower version."""
    width = sql.width
    new, new_version, deleted = pair[:width], pair[width], pair[width + 1]
    old, old_version = pair[width + 2 : 2 * width + 2], pair[2 * width + 2]
    assert isinstance(new_version, int)
    assert old_version is None or isinstance(old_version, int)
    if old_version is not None and not forced and new_version < old_version:
        return 0, False
    gained = 0 if deleted else signed_digest(table, new, new_version)
    older = old_version is not None and new_version < old_version
    return gained - signed_digest(table, old, old_version), older


def _finish(
    connection: Connection, effect: Apply, state: TillState, digests: dict[str, int], *, now_ms: int, merging: bool
) -> tuple[str, ...]:
    """Move the cursor and return the tables whose digest is not the server's."""
    mismatched = tuple(
        table for table, value in effect.digests if (digests.get(table, 0) - value) % (1 << 64) != 0
    )
    write_state(
        connection,
        cursor_n=effect.cursor.term.n,
        cursor_id=effect.cursor.term.id,
        cursor_pos=effect.cursor.pos,
        urgent_pos=effect.urgent_pos,
        stock_seq=effect.stock_seq,
        loaded=state.loaded or not mismatched,
        masters_ms=now_ms,
        overlay=merging,
    )
    return mismatched
