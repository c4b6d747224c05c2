"""Faults on the server's database: a restart, a crash, and a clerk who takes her time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from chaos.errors import FaultFailed
from chaos.faults.base import Context, SlowClerkPlan, SystemPlan
from chaos.faults.catalogue import fault
from chaos.fleet.health import plain_dsn
from chaos.fleet.process import ProcessFleet
from tests.integration.chaos.conftest import FREE, FileWitness
from tests.integration.chaos.test_faults import suffered


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Context, str]]:
    """A database with a price, and how a clerk changes it."""
    with ProcessFleet(run_dir=tmp_path_factory.mktemp("db"), capper=FREE, engine="builtin") as fleet:
        fleet.start_postgres()
        dsn = fleet.dsn("server")
        write(dsn, "CREATE TABLE price (sku text PRIMARY KEY, amount int)")
        write(dsn, "INSERT INTO price VALUES ('A', 100), ('B', 100)")
        plan = SlowClerkPlan(dsn=dsn, statements=("UPDATE price SET amount = 200 WHERE sku = 'A'",))
        system = SystemPlan(slow_clerks={"postgres": plan})
        yield Context(fleet=fleet, witness=FileWitness(fleet), system=system), dsn


def write(dsn: str, statement: str) -> None:
    """Run one statement in a transaction of its own."""
    with closing(psycopg2.connect(plain_dsn(dsn))) as connection:
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.commit()


def price(dsn: str, sku: str) -> int:
    """Read a price."""
    with closing(psycopg2.connect(plain_dsn(dsn))) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT amount FROM price WHERE sku = %s", (sku,))
        found = cursor.fetchone()
        assert found is not None
        return int(found[0])


@pytest.mark.parametrize("mode", ["fast", "crash"])
def test_postgresql_restarts(shop: tuple[Context, str], mode: str) -> None:
    """It was away, is back as another process, and answers."""
    bite, healed = suffered(shop[0], fault("postgres_restart", ["postgres"], {"mode": mode}), looks=0)
    assert (bite.bit, healed.ok) == (True, True), (bite, healed)


def test_a_slow_clerk_is_overtaken(shop: tuple[Context, str]) -> None:
    """Others commit while her change is open; then hers is there, too."""
    context, dsn = shop
    slow = fault("slow_clerk", ["postgres"])
    slow.inject(context)
    assert price(dsn, "A") == 100
    write(dsn, "UPDATE price SET amount = 300 WHERE sku = 'B'")
    slow.lift(context)
    assert (slow.verify(context).ok, slow.evidence(context).bit) == (True, True), slow.evidence(context)
    assert (price(dsn, "A"), price(dsn, "B")) == (200, 300)


def test_a_slow_clerk_whom_nobody_overtakes_did_not_bite(shop: tuple[Context, str]) -> None:
    """Without a later commit there was nothing to skip."""
    bite, healed = suffered(shop[0], fault("slow_clerk", ["postgres"]), looks=0)
    assert (bite.bit, healed.ok) == (False, True)


def test_a_slow_clerk_who_writes_nothing_is_a_mistake_of_the_plan(shop: tuple[Context, str]) -> None:
    """The fault says so instead of holding an empty transaction."""
    context, dsn = shop
    plan = SlowClerkPlan(dsn=dsn, statements=("SELECT 1",))
    idle = Context(fleet=context.fleet, witness=context.witness, system=SystemPlan(slow_clerks={"postgres": plan}))
    one = fault("slow_clerk", ["postgres"])
    with pytest.raises(FaultFailed, match="wrote nothing"):
        one.inject(idle)
    one.lift(idle)
    assert one.verify(idle).ok
