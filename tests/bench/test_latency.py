"""How soon a sale reaches the server and a price reaches the tills, with ten capped tills in continuous mode.

Ends are exact: a commit's time is the one that PostgreSQL itself recorded. Beginnings are early rather than late
for sales: the entry's own time, which the till takes before its commit. Tills sell while prices change.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from loadtest.plan import Plan
from rehearsal.drive.till_api import Session, identity_session
from rehearsal.staging.shop import Shop
from syncref.wire.entry import decode_entry
from tests.bench import shop as bench

SALES_PER_S = 0.7
EDITS = 200
EDIT_GAP_S = 0.3
WARM_UP_MS = 3000
LOAD_S = EDITS * EDIT_GAP_S + 10
POLL_S = 0.001
APPLY_DEADLINE_S = 10.0
COMMITTED_MS = "extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Stage ten tills with 5,000 products."""
    scenario = bench.bench_scenario(("catalogue.products", "5000"), tills=10)
    with bench.staged_shop(tmp_path_factory.mktemp("shop"), scenario) as staged:
        if not bench.caps_enforced(staged):
            pytest.skip(f"tills can't be capped here: {staged.fleet.capper.reason}")
        yield staged


@pytest.fixture(scope="module")
def ran(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plan, PriceWatch]]:
    """Sell at all tills, change prices meanwhile, and wait until all is quiet."""
    folder = tmp_path_factory.mktemp("load")
    plan = bench.load_plan(shop, folder, rate_per_s=SALES_PER_S, duration_s=LOAD_S)
    load = bench.start_load(plan)
    try:
        assert plan.start_at_ms is not None
        watch = PriceWatch(shop)
        psutil.cpu_percent()
        before, began_s = bench.cpu_used_s(shop), time.monotonic()
        time.sleep(max(0.0, plan.start_at_ms / 1000 - time.time()) + WARM_UP_MS / 1000)
        watch.change_prices()
        bench.finish_load(load, plan)
        watch.host_busy_percent = psutil.cpu_percent()
        lasted_s = time.monotonic() - began_s
        watch.cores_used = {
            node: round((used - before.get(node, 0.0)) / lasted_s, 3)
            for node, used in bench.cpu_used_s(shop).items()
        }
        bench.wait_quiet(shop, shop.tills)
    finally:
        load.kill()
        load.wait()
    yield plan, watch


class PriceWatch:
    """Changes one price after the other and notes when each till's database shows it."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        paired = {sku for a, b, _ in shop.catalogue.pairs for sku in (a, b)}
        self._skus = itertools.islice((sku for sku in shop.catalogue.prices if sku not in paired), EDITS)
        self.host_busy_percent = 0.0
        self.cores_used: dict[str, float] = {}
        self.asked: dict[str, int] = {}
        self.seen_ms: dict[tuple[str, str], float] = {}
        self._waiting: dict[str, set[tuple[str, int]]] = {till: set() for till in shop.tills}
        self._lock = threading.Lock()
        self._done = threading.Event()

    def change_prices(self) -> None:
        """Write the prices, one document each, on an open schedule with gaps that don't beat with anything."""
        name, secret = next(iter(self._shop.clerks.items()))
        clerk = identity_session(self._shop.url("backoffice"), kind="clerk", name=name, secret=secret)
        watcher = threading.Thread(target=self._watch)
        watcher.start()
        try:
            rng, due_s = random.Random(1), time.monotonic()  # noqa: S311 - reproducible on purpose
            for sku in self._skus:
                self._change(clerk, sku)
                due_s += EDIT_GAP_S * (0.5 + rng.random())
                time.sleep(max(0.0, due_s - time.monotonic()))
            end_s = time.monotonic() + APPLY_DEADLINE_S
            while any(self._waiting.values()) and time.monotonic() < end_s:
                time.sleep(0.01)
        finally:
            self._done.set()
            watcher.join()

    def _change(self, clerk: Session, sku: str) -> None:
        from_ms = time.time_ns() // 1_000_000
        with self._lock:
            self.asked[sku] = from_ms
            for waiting in self._waiting.values():
                waiting.add((sku, from_ms))
        price = {"sku": sku, "valid_from_ms": from_ms, "amount": 100 + from_ms % 900}
        clerk.post("/v1/prices", {"op_id": f"{from_ms:032x}", "prices": [price]})

    def _watch(self) -> None:
        """Look into every till's database as soon as it has changed."""
        files = {till: self._shop.till_databases[till].file for till in self._shop.tills}
        open_ = {
            till: sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5, isolation_level=None)
            for till, file in files.items()
        }
        versions: dict[str, int] = {}
        while not self._done.is_set():
            for till, connection in open_.items():
                version = connection.execute("PRAGMA data_version").fetchone()[0]
                if versions.get(till) != version:
                    versions[till] = version
                    self._look(till, connection)
            time.sleep(POLL_S)
        for connection in open_.values():
            connection.close()

    def _look(self, till: str, connection: sqlite3.Connection) -> None:
        with self._lock:
            waiting = list(self._waiting[till])
        for sku, from_ms in waiting:
            found = connection.execute(
                "SELECT 1 FROM price WHERE sku = ? AND list = 'STD' AND valid_from_ms = ?", (sku, from_ms)
            ).fetchone()
            if found:
                self.seen_ms[till, sku] = time.time() * 1000
                with self._lock:
                    self._waiting[till].discard((sku, from_ms))

    def latencies_ms(self) -> list[float]:
        """Return commit to applied row, for every price and till."""
        committed = {
            (sku, int(from_ms)): float(at_ms)
            for sku, from_ms, at_ms in bench.server_rows(
                self._shop, f"SELECT sku, valid_from_ms, {COMMITTED_MS} FROM price WHERE valid_from_ms > %s",  # noqa: S608
                (min(self.asked.values()) - 1,),
            )
        }  # fmt: skip
        return [at_ms - committed[sku, self.asked[sku]] for (_, sku), at_ms in self.seen_ms.items()]


def figure(benchmark: Any, shop: Shop, watch: PriceWatch, name: str, values: list[float]) -> None:
    """Put a figure on record."""
    benchmark.extra_info[name] = bench.percentile(values, 0.99)
    benchmark.extra_info[f"{name}_measured"] = {
        "samples": len(values),
        "p50_ms": round(bench.percentile(values, 0.5), 2),
        "max_ms": round(max(values), 2),
        "tills": len(shop.tills),
        "cores_per_till": bench.TILL_CAPS.cpu_cores,
        "sales_per_s": SALES_PER_S * len(shop.tills),
        "edits_per_s": round(1 / EDIT_GAP_S, 1),
        "host_busy_percent": watch.host_busy_percent,
        "cores_used": watch.cores_used,
        "throttled_s": round(sum(bench.throttled_share(shop, till)["throttled_s"] or 0 for till in shop.tills), 2),
    }


def test_price_latency_p99_ms(benchmark: Any, shop: Shop, ran: tuple[Plan, PriceWatch]) -> None:
    """From the clerk's commit to the applied row, over all prices and tills."""
    _, watch = ran
    values = benchmark.pedantic(watch.latencies_ms, rounds=1, iterations=1)
    figure(benchmark, shop, watch, "price_latency_p99_ms", values)
    assert len(values) == EDITS * len(shop.tills), "some prices did not reach some tills"


def test_sale_latency_p99_ms(benchmark: Any, shop: Shop, ran: tuple[Plan, PriceWatch]) -> None:
    """From the moment a till makes the entry to the server's commit, over all entries after the warm-up."""
    plan, watch = ran
    assert plan.start_at_ms is not None
    from_ms = plan.start_at_ms + WARM_UP_MS

    def latencies_ms() -> list[float]:
        rows = bench.server_rows(shop, f"SELECT payload, {COMMITTED_MS} FROM entry")  # noqa: S608
        found = [(decode_entry(bytes(payload)).at_ms, float(at_ms)) for payload, at_ms in rows]
        return [committed_ms - made_ms for made_ms, committed_ms in found if made_ms >= from_ms]

    values = benchmark.pedantic(latencies_ms, rounds=1, iterations=1)
    figure(benchmark, shop, watch, "sale_latency_p99_ms", values)
    assert len(values) > SALES_PER_S * len(shop.tills) * LOAD_S / 2, "too few sales"
