"""R11: a promotion lets writes in as soon as the database is promoted, and opens the new term after that.

The promotion is killed in between, once: the server is live then, in the term of the one that it replaces.
"""

from __future__ import annotations

import os
import signal

from sqlalchemy import text

from rehearsal.prove.planted import Planted, swap
from syncref.core.failover import DatabasePromoted
from syncref.server.reign import Reign
from syncref.store.server_open import transaction
from syncref.store.server_term import TIMELINE_SQL

OPEN = text("UPDATE term SET guard = pg_postmaster_start_time(), timeline = " + TIMELINE_SQL)  # noqa: S608 - a constant


def plant() -> None:
    """Open, and die before the term is persisted."""
    promote = Reign._promote_database

    def killed(self: Reign) -> DatabasePromoted:
        promote(self)
        with transaction(self._engine) as connection:
            connection.execute(OPEN)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("nobody outlives that")

    swap(Reign, "_promote_database", killed)


PLANTED = Planted(
    id="R11",
    title="writes opened before the term",
    fault="kill during promotion",
    expected="failover",
    scenario="takeover",
    kinds=("server", "promote"),
    plant=plant,
)
