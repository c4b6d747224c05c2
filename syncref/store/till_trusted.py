"""The trusted time over a restart; see syncref.till.trusted_time."""

from __future__ import annotations

import logging

from sqlalchemy import delete, insert, select

from syncref.errors import SyncrefError
from syncref.logs import event
from syncref.store.till_open import TillDatabase
from syncref.store.till_schema import trusted_time

_log = logging.getLogger("syncref.till")


def read_trusted_s(database: TillDatabase) -> float:
    """Return the stored time in epoch seconds, 0 when none is stored."""
    with database.read() as connection:
        return float(connection.execute(select(trusted_time.c.at_s)).scalar() or 0)


def write_trusted_s(database: TillDatabase, at_s: float) -> None:
    """Store a time. A failure costs nothing but a lower floor after the next start, and is logged."""
    try:
        with database.step(durable=False) as connection:
            connection.execute(delete(trusted_time))
            connection.execute(insert(trusted_time).values(one=1, at_s=int(at_s)))
    except SyncrefError as error:
        event(_log, logging.WARNING, "trusted_time_not_stored", code=error.code, reason=error.message)
