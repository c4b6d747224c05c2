"""Slow clerk: a change is written and its transaction stays open, so later changes commit before it.

A feed that goes by the order of ids or times skips the slow change for ever. Others must go on meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg2
import psycopg2.extensions

from chaos.errors import FaultFailed
from chaos.faults.base import Bite, Context, Fault, Healed, SlowClerkPlan
from chaos.fleet.health import plain_dsn

LOOK_AHEAD = 500


class SlowClerk(Fault):
    """Holds a transaction open on the server's database, and commits it at the end."""

    kind = "slow_clerk"
    aim = "database"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self._connection: psycopg2.extensions.connection | None = None
        self.xid: int | None = None
        self.overtaken = 0
        self.open_at_end = False

    def obstacle(self, context: Context) -> str | None:
        """The plan must say how a change is written."""
        return None if context.system.slow_clerk else "no clerk's change is planned for this system"

    def inject(self, context: Context) -> None:
        """Write the change and leave the transaction open."""
        plan = planned(context)
        try:
            self._connection = psycopg2.connect(plain_dsn(plan.dsn), application_name="slow clerk")
            with self._connection.cursor() as cursor:
                for statement in plan.statements:
                    cursor.execute(statement)
                cursor.execute("SELECT pg_current_xact_id_if_assigned()::text::bigint")
                found = cursor.fetchone()
        except psycopg2.Error as error:
            raise FaultFailed(f"slow_clerk: {error}") from error
        self.xid = found[0] if found else None
        if self.xid is None:
            raise FaultFailed("slow_clerk: the planned statements wrote nothing")

    def lift(self, context: Context) -> None:
        """Count who overtook it, and commit."""
        if self._connection is None:
            return
        connection, self._connection = self._connection, None
        try:
            if self.xid is not None:
                with reader(context) as cursor:
                    self.open_at_end = status(cursor, self.xid) == "in progress"
                    self.overtaken = committed_after(cursor, self.xid)
            connection.commit()
        except psycopg2.Error as error:
            raise FaultFailed(f"slow_clerk: {error}") from error
        finally:
            connection.close()

    def verify(self, context: Context) -> Healed:
        """The database calls the transaction committed."""
        if self.xid is None:
            return Healed(ok=True, text="no transaction was begun")
        try:
            with reader(context) as cursor:
                now = status(cursor, self.xid)
        except psycopg2.Error as error:
            return Healed(ok=False, text=f"transaction {self.xid}: {error}")
        return Healed(ok=now == "committed", text=f"transaction {self.xid} is {now}")

    def evidence(self, context: Context) -> Bite:
        """Transactions that began after it were committed while it was still open."""
        if not self.open_at_end:
            return Bite(bit=False, text=f"transaction {self.xid} was not open at the end")
        text = f"transaction {self.xid} was open while {self.overtaken} later ones committed"
        return Bite(bit=self.overtaken > 0, text=text)


def planned(context: Context) -> SlowClerkPlan:
    """Return the plan; obstacle() has seen it."""
    assert context.system.slow_clerk is not None
    return context.system.slow_clerk


@contextlib.contextmanager
def reader(context: Context) -> Iterator[Any]:
    """Yield a cursor on a connection of its own."""
    with contextlib.closing(psycopg2.connect(plain_dsn(planned(context).dsn))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def status(cursor: Any, xid: int) -> str:
    """Return "in progress", "committed" or "aborted"."""
    cursor.execute("SELECT pg_xact_status(%s::text::xid8)", (xid,))
    return str(cursor.fetchone()[0])


def committed_after(cursor: Any, xid: int) -> int:
    """Count committed transactions among the next ones after `xid`, up to a bound."""
    cursor.execute(
        "SELECT count(*) FROM generate_series(%s::bigint + 1, least(%s::bigint + %s,"
        " pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)) AS n"
        " WHERE pg_xact_status(n::text::xid8) = 'committed'",
        (xid, xid, LOOK_AHEAD),
    )
    return int(cursor.fetchone()[0])
