"""Staging: the rows of a run wait here, invisible to a sale, until the run ends.

Keeps: of two rows of a key the higher version stays; the run's progress is stored after the rows that it
speaks for; rows are written in small steps, so that no sale waits long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection, delete, insert, select

from syncref.core.downlink_messages import Run
from syncref.domain.identity import Term
from syncref.domain.masters import MASTERS
from syncref.errors import Busy
from syncref.store.till_open import TillDatabase
from syncref.store.till_rows import by_table, many, sql_of, staged
from syncref.store.till_schema import run as run_table
from syncref.store.till_schema import stages
from syncref.store.till_state import read_state
from syncref.wire.sync import FeedRow

STEP_ROWS = 250
Rest = Callable[[], None]


def read_run(connection: Connection, *, cluster: str) -> Run | None:
    """Return the run that is being staged."""
    row = connection.execute(select(run_table)).one_or_none()
    if row is None:
        return None
    after = None if row.after_tbl is None else (row.after_tbl, row.after_key)
    return Run(
        id=bytes(row.run),
        term=Term(cluster=cluster, n=row.term_n, id=bytes(row.term_id)),
        from_pos=row.from_pos,
        round_from=row.round_from,
        scan_to=row.scan_to,
        after=after,
        replace=tuple(msgspec.json.decode(row.replaces, type=list[str])),
    )


def write_run(connection: Connection, run: Run) -> None:
    """Store a run's progress."""
    connection.execute(delete(run_table))
    connection.execute(
        insert(run_table),
        {
            "one": 1,
            "run": run.id,
            "term_n": run.term.n,
            "term_id": run.term.id,
            "from_pos": run.from_pos,
            "round_from": run.round_from,
            "scan_to": run.scan_to,
            "after_tbl": None if run.after is None else run.after[0],
            "after_key": None if run.after is None else run.after[1],
            "replaces": msgspec.json.encode(run.replace).decode(),
        },
    )


def stage(database: TillDatabase, run: Run, rows: Sequence[FeedRow], *, rest: Rest) -> None:
    """Store rows under a run, and then the run's progress. Answers only when all of it is stored."""
    _own(database, run)
    stage_rows(database, rows, rest=rest)
    with database.step() as connection:
        write_run(connection, run)


def _own(database: TillDatabase, run: Run) -> None:
    """Make the stage this run's: empty unless it is already."""
    with database.read() as connection:
        present = connection.execute(select(run_table.c.run)).scalar_one_or_none()
    if present is not None and bytes(present) == run.id:
        return
    with database.step(durable=False) as connection:
        clear(connection)
        begun = Run(id=run.id, term=run.term, from_pos=run.from_pos, round_from=run.from_pos)
        write_run(connection, begun)


def stage_rows(database: TillDatabase, rows: Sequence[FeedRow], *, rest: Rest) -> None:
    """Write rows to the stage, a few at a time."""
    for table, found in by_table(rows).items():
        sql = sql_of(database.dialect, table)
        for at in range(0, len(found), STEP_ROWS):
            ready = [staged(row, sql) for row in found[at : at + STEP_ROWS]]
            with database.step(durable=False) as connection:
                many(connection, sql.stage, ready)
            rest()


def clear(connection: Connection) -> None:
    """Discard whatever is staged, but never what is applied and only waits to be merged."""
    if read_state(connection).overlay:
        raise Busy("an applied run is still being merged")
    for spec in MASTERS:
        connection.execute(delete(stages[spec.name]))
    connection.execute(delete(run_table))
