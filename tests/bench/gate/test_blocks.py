"""What the gate times: a till's durable sale, the protocol cores in virtual time, and a server's durable ingest.

Each is one block of rounds; the gate takes one number out of it. Data is the same every time. What only one figure
needs is imported by it: of a block of one figure's CPU time imports are half.
"""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from syncref.core.selling import Basket, LineAsked, PaymentAsked
from syncref.store.till_open import TillDatabase
from syncref.store.till_provision import provision
from tests.bench.gate.conftest import Slowed, Turns
from tests.integration.till.shop import Counter, fill_catalogue

SALES = 150
SCHEDULE, PLAYS = 2, 60  # three tills; promotion there and back, power cut, backup restored: 10 ms a time
BATCHES, BATCH = 16, 200


@pytest.mark.benchmark(disable_gc=True)
def test_till_durable_sale(benchmark: Any, slowed: Slowed, turns: Turns, tmp_path: Path) -> None:
    """A sale of three lines on SQLite, up to its durable commit."""
    database = TillDatabase(f"sqlite:///{tmp_path}/till.db")
    provision(database, name="T01", cluster="gate")
    fill_catalogue(database)
    counter = Counter(database)
    counter.open_day("2025-03-01")
    draw = random.Random(1)  # noqa: S311 - the same sales every time
    basket = Basket(
        lines=tuple(LineAsked(sku=f"P00{n}", qty=1000) for n in (1, 2, 3)),
        payments=(PaymentAsked(tender="cash", amount=None),),
    )

    def sale() -> None:
        counter.checkout.sell(op_id=draw.randbytes(16), cashier="C1", basket=basket)

    with turns:
        benchmark.pedantic(slowed(sale), setup=turns, rounds=SALES, warmup_rounds=20)
    database.close()


@pytest.mark.benchmark(disable_gc=True, timer=time.process_time)
def test_cores_in_virtual_time(benchmark: Any, slowed: Slowed, turns: Turns) -> None:
    """CPU seconds of a schedule of the simulated chain: every protocol core, without any I/O."""
    from chaos.fleet.simulated.plan import plan
    from chaos.fleet.simulated.run import play

    schedule = plan(SCHEDULE, "everything")

    def playing() -> None:
        assert not play(schedule).findings

    with turns:
        benchmark.pedantic(slowed(playing), setup=turns, rounds=PLAYS, warmup_rounds=4)


@pytest.mark.benchmark(disable_gc=True)
def test_server_durable_ingest(benchmark: Any, slowed: Slowed, turns: Turns) -> None:
    """A batch of 200 sales on PostgreSQL: checked, stored as bytes and as rows, committed durably."""
    from tests.bench.gate.server import ingesting

    with ingesting(batches=BATCHES + 2, entries=BATCH) as (ingest, batches):
        following = iter(batches)
        with turns:
            benchmark.pedantic(
                slowed(lambda: ingest.batch(next(following))), setup=turns, rounds=BATCHES, warmup_rounds=2
            )
