"""Moves an applied run from its stage to the tables, a few rows at a time, while sales go on.

Keeps: at every moment staged over live gives the same rows; the overlay ends with the last of them.
"""

from __future__ import annotations

from syncref.domain.masters import MASTERS
from syncref.store.till_open import TillDatabase
from syncref.store.till_rows import sql_of
from syncref.store.till_state import read_state, write_state

STEP_ROWS = 200


def merge_step(database: TillDatabase) -> bool:
    """Merge up to STEP_ROWS rows; return whether there may be more."""
    with database.read() as connection:
        if not read_state(connection).overlay:
            return False
    with database.step(durable=False) as connection:
        if not read_state(connection, lock=True).overlay:
            return False
        for spec in MASTERS:
            sql = sql_of(database.dialect, spec.name)
            boundary = connection.exec_driver_sql(sql.stage_boundary, (STEP_ROWS - 1,)).one_or_none()
            if boundary is None:
                newest = f"SELECT {sql.key_columns} FROM stage_{spec.name} ORDER BY {_descending(sql.key_columns)}"
                boundary = connection.exec_driver_sql(f"{newest} LIMIT 1").one_or_none()
            if boundary is None:
                continue
            key = tuple(boundary)
            connection.exec_driver_sql(sql.merge, key)
            connection.exec_driver_sql(sql.merge_deletes, key)
            connection.exec_driver_sql(sql.unstage, key)
            return True
        write_state(connection, overlay=False)
    return False


def _descending(key_columns: str) -> str:
    return ", ".join(f"{name} DESC" for name in key_columns.split(", "))
