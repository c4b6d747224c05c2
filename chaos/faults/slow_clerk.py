"""Slow clerk: a change is written and its transaction stays open, so later changes commit before it.

A feed that goes by the order of ids or times skips the slow change for ever. Others must go on meanwhile.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2
import psycopg2.extensions

from chaos.errors import ChaosError, FaultFailed
from chaos.faults.base import Bite, Context, Fault, Healed, together
from chaos.fleet.health import plain_dsn

LOOK_AHEAD = 500


@dataclass(slots=True, kw_only=True)
class Change:
    """A clerk's transaction on one database. `connection` is None once it is over."""

    dsn: str
    connection: psycopg2.extensions.connection | None
    xid: int | None = None
    overtaken: int = 0
    open_at_end: bool = False


class SlowClerk(Fault):
    """Holds a transaction open on each target, a database by its node, and commits it at the end."""

    kind = "slow_clerk"
    aim = "database"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.changes: dict[str, Change] = {}

    def obstacle(self, context: Context) -> str | None:
        """The plan must say how a change is written on each target."""
        missing = [node for node in self.targets if node not in context.system.slow_clerks]
        return f"no clerk's change is planned for {', '.join(missing)}" if missing else None

    def inject(self, context: Context) -> None:
        """Write the changes and leave the transactions open."""
        for node in self.targets:
            plan = context.system.slow_clerks[node]
            try:
                connection = psycopg2.connect(plain_dsn(plan.dsn), application_name="slow clerk")
                change = self.changes[node] = Change(dsn=plan.dsn, connection=connection)
                with connection.cursor() as cursor:
                    for statement in plan.statements:
                        cursor.execute(statement)
                    cursor.execute("SELECT pg_current_xact_id_if_assigned()::text::bigint")
                    found = cursor.fetchone()
            except psycopg2.Error as error:
                raise FaultFailed(f"slow_clerk: {node}: {str(error).strip()}") from error
            change.xid = found[0] if found else None
            if change.xid is None:
                raise FaultFailed(f"slow_clerk: the statements planned for {node} wrote nothing")

    def lift(self, context: Context) -> None:
        """Count who overtook each, and commit; the first error is raised after all were tried."""
        errors = []
        for node, change in self.changes.items():
            try:
                committed(node, change)
            except ChaosError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def verify(self, context: Context) -> Healed:
        """The databases call the transactions committed."""
        begun = {node: change for node, change in self.changes.items() if change.xid is not None}
        found = {node: state(change) for node, change in begun.items()}
        text = ", ".join(f"transaction {begun[node].xid} on {node} is {now}" for node, now in found.items())
        ok = all(now == "committed" for now in found.values())
        return Healed(ok=ok, text=text or "no transaction was begun")

    def evidence(self, context: Context) -> Bite:
        """Transactions that began after each were committed while it was still open."""
        return together(self._of(node) for node in self.targets)

    def _of(self, node: str) -> Bite:
        change = self.changes.get(node)
        if change is None or not change.open_at_end:
            return Bite(bit=False, text=f"{node}: no transaction of the clerk was open at the end")
        text = f"{node}: transaction {change.xid} was open while {change.overtaken} later ones committed"
        return Bite(bit=change.overtaken > 0, text=text)


def committed(node: str, change: Change) -> None:
    """Count who overtook a change and commit it, unless it is over already."""
    if change.connection is None:
        return
    connection, change.connection = change.connection, None
    try:
        if change.xid is not None:
            with reader(change.dsn) as cursor:
                change.open_at_end = status(cursor, change.xid) == "in progress"
                change.overtaken = committed_after(cursor, change.xid)
        connection.commit()
    except psycopg2.Error as error:
        raise FaultFailed(f"slow_clerk: {node}: {str(error).strip()}") from error
    finally:
        connection.close()


def state(change: Change) -> str:
    """Return what the database calls a transaction, or why that can't be read."""
    assert change.xid is not None
    try:
        with reader(change.dsn) as cursor:
            return status(cursor, change.xid)
    except psycopg2.Error as error:
        return f"unreadable: {str(error).strip()}"


@contextlib.contextmanager
def reader(dsn: str) -> Iterator[Any]:
    """Yield a cursor on a connection of its own."""
    with contextlib.closing(psycopg2.connect(plain_dsn(dsn))) as connection:
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
