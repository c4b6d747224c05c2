"""Whether a cashier feels the sync: the p99 of a sale with full sync over that without, at 1 GB and 0.75 core.

Two equal tills, one syncing continuously while clerks edit, the other not at all, are loaded in turn in short
blocks (ABBA); the one that rests is stopped by the kernel. The till answers at its commit (reply budget 1 ms);
what waiting for the server's answer adds, with the usual budget, is on record beside it.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rehearsal.plan.scenario import SyncPlan
from rehearsal.staging.configs import write_toml
from rehearsal.staging.shop import Shop, till_sections
from tests.bench import shop as bench

SYNCING, ALONE = "T01", "T02"
PAIRS = 8
BLOCK_S = 15.0
SALES_PER_S = 12.0
EDITS_PER_S = 4.0
USUAL_BUDGET_MS = 100


def staged(tmp_path: Path, reply_budget_ms: int) -> Iterator[Shop]:
    """Stage two tills with 20,000 products; one of them doesn't sync any more once it has them."""
    scenario = dataclasses.replace(
        bench.bench_scenario(("catalogue.products", "20000"), tills=2),
        sync=SyncPlan(reply_budget_ms=reply_budget_ms),
    )
    with bench.staged_shop(tmp_path, scenario) as shop:
        if not bench.caps_enforced(shop):
            pytest.skip(f"tills can't be capped here: {shop.fleet.capper.reason}")
        stop_syncing(shop, ALONE)
        yield shop


def stop_syncing(shop: Shop, till: str) -> None:
    """Restart a till that has its masters, without sync."""
    sections = till_sections(shop, till)
    sections["sync"]["continuous"] = False
    write_toml(shop.fleet.dir(till) / "till.toml", sections)
    shop.fleet.restart(till)


def sale_latencies_ms(shop: Shop, till: str, folder: Path, *, edits: bool) -> list[float]:
    """Load one till for a block, the other one resting, and return its sales' latencies."""
    other = ALONE if till == SYNCING else SYNCING
    plan = bench.load_plan(
        shop, folder, rate_per_s=SALES_PER_S, duration_s=BLOCK_S, edits_per_s=EDITS_PER_S if edits else 0
    )
    plan = msgspec.structs.replace(plan, tills=tuple(one for one in plan.tills if one.name == till))
    shop.fleet.pause(other)
    try:
        load = bench.start_load(plan)
        bench.finish_load(load, plan)
    finally:
        shop.fleet.resume(other)
    lines = bench.histories(folder)
    first = {line["n"] for line in lines if line["type"] == "invoke" and not line.get("repeat")}
    assert plan.start_at_ms is not None
    warm_ms = plan.start_at_ms + 2000
    return [
        line["ms"]
        for line in lines
        if line["type"] in ("ok", "info")
        and line["f"] == "sale"
        and line["of"] in first
        and line["at_ms"] > warm_ms
    ]


def ratios(shop: Shop, folder: Path, pairs: int) -> tuple[list[float], list[float], list[float]]:
    """Return the ratio of p99 for each pair of blocks, and all latencies with and without sync."""
    found: list[float] = []
    pooled: dict[str, list[float]] = {SYNCING: [], ALONE: []}
    for pair in range(pairs):
        order = (SYNCING, ALONE) if pair % 2 else (ALONE, SYNCING)
        block = {}
        for till in order:
            values = sale_latencies_ms(shop, till, folder / f"{pair}-{till}", edits=till == SYNCING)
            block[till] = bench.percentile(values, 0.99)
            pooled[till] += values
        found.append(block[SYNCING] / block[ALONE])
        time.sleep(0.5)
    return found, pooled[SYNCING], pooled[ALONE]


def test_sale_p99_sync_ratio(benchmark: Any, tmp_path: Path) -> None:
    """The median of the paired ratios."""
    usual: list[float] = []
    for shop in staged(tmp_path / "usual", USUAL_BUDGET_MS):
        usual, _, _ = ratios(shop, tmp_path / "load-usual", 2)
    for shop in staged(tmp_path / "shop", 1):
        found, syncing, alone = benchmark.pedantic(
            ratios, args=(shop, tmp_path / "load", PAIRS), rounds=1, iterations=1
        )
        benchmark.extra_info["sale_p99_sync_ratio"] = statistics.median(found)
        benchmark.extra_info["sale_p99_sync_ratio_measured"] = {
            "pairs": [round(ratio, 3) for ratio in found],
            "with_sync": summary(syncing),
            "without_sync": summary(alone),
            "ratio_with_reply_budget_100_ms": round(statistics.median(usual), 3),
            "cores": bench.TILL_CAPS.cpu_cores,
            "edits_per_s": EDITS_PER_S,
            "sales_per_s": SALES_PER_S,
        }


def summary(values: list[float]) -> dict[str, float]:
    """Return percentiles in ms."""
    shown = {f"p{share * 100:g}_ms": round(bench.percentile(values, share), 2) for share in (0.5, 0.99)}
    return {"samples": len(values), **shown}
