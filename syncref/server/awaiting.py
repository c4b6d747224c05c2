"""Starting while the database is away: a process waits for it, and says so, until it is told to stop.

A server that gave up would need somebody to start it again after every restart of the database.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from syncref.errors import Busy, ConfigInvalid, StorageFailed
from syncref.logs import event
from syncref.server.reign import Reign
from syncref.store.server_open import open_engine

RETRY_S = 0.3
SAID_EVERY_S = 10.0
_log = logging.getLogger("syncref.server.awaiting")


@contextmanager
def leaving_on_sigterm() -> Iterator[None]:
    """Leave the block by SystemExit(0) on SIGTERM, so that what it has begun is ended."""
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def await_provisioned(dsn: str) -> None:
    """Return once the database answers. Raises ConfigInvalid when it was never provisioned."""
    engine = open_engine(dsn, connections=1)
    shown = engine.url.render_as_string(hide_password=True)
    begun = time.monotonic()
    said = 0.0
    try:
        while True:
            try:
                with engine.connect() as connection:
                    found = connection.execute(text("SELECT to_regclass('term')")).scalar()
                    ready = found is not None and connection.execute(text("SELECT 1 FROM term")).first()
                break
            except SQLAlchemyError as error:
                now = time.monotonic()
                if not said or now - said >= SAID_EVERY_S:
                    said = now
                    reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
                    event(
                        _log, logging.WARNING, "database_away", database=shown, reason=reason,
                        waited_s=round(now - begun, 1),
                    )  # fmt: skip
                time.sleep(RETRY_S)
    finally:
        engine.dispose()
    if not ready:
        raise ConfigInvalid(f"the database {shown} is not provisioned: run `syncref provision server`")
    if said:
        event(_log, logging.INFO, "database_back", waited_s=round(time.monotonic() - begun, 1))


def begin(dsn: str, *, peers: int, rank: int) -> None:
    """Begin the server's reign once the database answers, again whenever it goes away meanwhile.

    Raises ConfigInvalid when it was never provisioned.
    """
    while True:
        await_provisioned(dsn)
        engine = open_engine(dsn, connections=2)
        try:
            Reign(engine, peers=peers, rank=rank).begin()
        except (StorageFailed, Busy) as error:
            event(_log, logging.WARNING, "start_put_off", code=error.code, reason=error.message)
            time.sleep(RETRY_S)
        else:
            return
        finally:
            engine.dispose()


def _leave(_number: int, _frame: Any) -> NoReturn:
    raise SystemExit(0)
