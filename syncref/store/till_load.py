"""The first load of a new till: tables in chunks, straight to where they belong, resumable after any cut.

Keeps: rows, their digest and the progress in one transaction; nothing is sold before the load is verified.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, insert, select

from syncref.core.downlink_messages import ApplyConflicted, Loading, StoreChunk
from syncref.domain.identity import Term
from syncref.domain.masters import MASTERS, rows_digest
from syncref.store.till_apply import cursor_of
from syncref.store.till_open import TillDatabase
from syncref.store.till_rows import by_table, many, read_digests, sql_of, write_digests
from syncref.store.till_schema import digest, load, masters
from syncref.store.till_stage import clear
from syncref.store.till_state import read_state, write_state


def read_loading(connection: Connection, *, cluster: str) -> Loading | None:
    """Return the load that was begun and is not finished."""
    row = connection.execute(select(load)).one_or_none()
    if row is None:
        return None
    return Loading(
        tables=tuple(msgspec.json.decode(row.tables, type=list[str])),
        term=Term(cluster=cluster, n=row.term_n, id=bytes(row.term_id)),
        after=row.after,
        start_pos=row.start_pos,
    )


def store_chunk(database: TillDatabase, effect: StoreChunk) -> ApplyConflicted | None:
    """Write a chunk's rows and the progress. Nothing where another sync was faster: return where the till stands.

    Durable with the last one: what is lost before is fetched again.
    """
    with database.step(durable=effect.cursor is not None) as connection:
        state = read_state(connection, lock=True)
        loading = read_loading(connection, cluster=state.cluster)
        if cursor_of(state) is not None or (not effect.first and loading != effect.before):
            return ApplyConflicted(
                cursor=cursor_of(state), urgent_pos=state.urgent_pos, loaded=state.loaded, loading=loading
            )
        if effect.first:
            write_state(connection, overlay=False)
            clear(connection)
            for spec in MASTERS:
                connection.execute(delete(masters[spec.name]))
            connection.execute(delete(digest))
        digests = read_digests(connection)
        for table, rows in by_table(effect.rows).items():
            live = [(row.row, row.version) for row in rows if not row.deleted]
            ready = [(*row, version) for row, version in live]
            many(connection, sql_of(database.dialect, table).insert, ready)
            digests[table] += rows_digest(table, live)
            write_digests(connection, database.dialect, {table: digests[table]})
        connection.execute(delete(load))
        if effect.cursor is None:
            _write_progress(connection, effect.loading)
            return None
        write_state(
            connection,
            cursor_n=effect.cursor.term.n,
            cursor_id=effect.cursor.term.id,
            cursor_pos=effect.cursor.pos,
        )
    return None


def _write_progress(connection: Connection, loading: Loading) -> None:
    assert loading.term is not None
    connection.execute(
        insert(load),
        {
            "one": 1,
            "tables": msgspec.json.encode(loading.tables).decode(),
            "term_n": loading.term.n,
            "term_id": loading.term.id,
            "start_pos": loading.start_pos,
            "after": loading.after,
        },
    )
