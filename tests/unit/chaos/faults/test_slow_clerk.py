from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest

from chaos.errors import FaultFailed
from chaos.faults import slow_clerk
from chaos.faults.base import Context, SlowClerkPlan
from chaos.faults.slow_clerk import SlowClerk
from tests.unit.chaos.faults.shop import context_of, shop_of


class Databases:
    """PostgreSQL as the fault meets it: one transaction per database; two later ones commit meanwhile.

    The rest needs real ones (tests/integration/chaos). `read_only`: databases that take no change.
    """

    def __init__(self, *read_only: str) -> None:
        self.read_only = read_only
        self.written: list[tuple[str, str]] = []
        self.open: set[str] = set()

    def connect(self, dsn: str, **_: object) -> Any:
        """Connect."""
        return SimpleNamespace(
            cursor=lambda: Cursor(self, dsn), commit=lambda: self.open.discard(dsn), close=lambda: None
        )


class Cursor:
    """A cursor on one database."""

    def __init__(self, databases: Databases, dsn: str) -> None:
        self.databases, self.dsn = databases, dsn
        self.found: object = None

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""

    def execute(self, sql: str, values: object = None) -> None:
        """Answer what the fault asks."""
        if sql.startswith("INSERT"):
            if self.dsn in self.databases.read_only:
                raise psycopg2.errors.ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction")
            self.databases.written.append((self.dsn, sql))
            self.databases.open.add(self.dsn)
        elif "pg_xact_status(%s" in sql:
            self.found = "in progress" if self.dsn in self.databases.open else "committed"
        else:
            self.found = 2 if "count" in sql else 700

    def fetchone(self) -> tuple[object]:
        """Return the answer."""
        return (self.found,)


def met(monkeypatch: pytest.MonkeyPatch, *read_only: str) -> tuple[Databases, Context]:
    """Return two databases, and a context in which both have a change planned."""
    databases = Databases(*read_only)
    monkeypatch.setattr(slow_clerk.psycopg2, "connect", databases.connect)
    clerks = {
        node: SlowClerkPlan(dsn=f"postgresql://{node}", statements=(f"INSERT {node}",))
        for node in ("postgres", "postgres-standby")
    }
    return databases, context_of(shop_of(), slow_clerks=clerks)


@pytest.mark.parametrize("targets", [("postgres-standby",), ("postgres", "postgres-standby")])
def test_the_change_is_held_open_in_each_database_aimed_at(
    monkeypatch: pytest.MonkeyPatch, targets: tuple[str, ...]
) -> None:
    """In those and no other; each is committed, and each was overtaken."""
    databases, context = met(monkeypatch)
    one = SlowClerk(targets)
    assert one.obstacle(context) is None
    one.inject(context)
    assert databases.written == [(f"postgresql://{node}", f"INSERT {node}") for node in targets]
    assert not one.verify(context).ok
    one.lift(context)
    bite, healed = one.evidence(context), one.verify(context)
    assert (bite.bit, healed.ok, databases.open) == (True, True, set())
    assert bite.text.startswith(f"{targets[0]}: transaction 700 was open while 2 later ones committed")


def test_a_database_that_takes_no_change_is_told_and_the_others_are_committed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A standby, before its promotion."""
    databases, context = met(monkeypatch, "postgresql://postgres-standby")
    one = SlowClerk(("postgres", "postgres-standby"))
    with pytest.raises(FaultFailed, match="postgres-standby: cannot execute INSERT"):
        one.inject(context)
    one.lift(context)
    assert (databases.open, one.evidence(context).bit, one.verify(context).ok) == (set(), False, True)


def test_a_target_without_a_planned_change_is_an_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said before the run, and names the target."""
    told = SlowClerk(("postgres", "server")).obstacle(met(monkeypatch)[1])
    assert told == "no clerk's change is planned for server"


def test_without_its_transaction_nothing_bit_and_nothing_is_left() -> None:
    """Lifting a clerk who never began is harmless."""
    one = SlowClerk(("postgres",))
    one.lift(context_of(shop_of()))
    assert one.evidence(context_of(shop_of())).bit is False
    assert one.verify(context_of(shop_of())).ok
