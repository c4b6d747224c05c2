"""A real shop for benchmarks: PostgreSQL with commit times, server, back office, and capped tills behind links."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import psutil
import psycopg2

from chaos.fleet.plan import NO_CAPS, NodePlan
from chaos.fleet.process import POSTGRES, ProcessFleet
from chaos.profiles import GIB, PROFILES, Caps
from loadtest.plan import CashierLogin, ClerkPlan, Mix, Plan, TillPlan
from rehearsal.catalogue import build_catalogue
from rehearsal.drive.faults import KnownFaults
from rehearsal.plan.loader import Overrides, load_scenario
from rehearsal.plan.scenario import Scenario
from rehearsal.staging.shop import Shop, stage_shop, till_status

ROOT = Path(__file__).parents[2]
TILL_CAPS = Caps(cpu_cores=0.75, memory_bytes=GIB)
START_S = 6.0
QUIET_DEADLINE_S = 60.0


class BenchFleet(ProcessFleet):
    """The process fleet with commit times kept by PostgreSQL, and every till at 1 GB and 0.75 core."""

    def start_postgres(
        self, name: str = POSTGRES, *, caps: Caps = NO_CAPS, settings: Mapping[str, str] | None = None
    ) -> None:
        """Start PostgreSQL so that the time of each commit can be asked for."""
        super().start_postgres(name, caps=caps, settings={**(settings or {}), "track_commit_timestamp": "on"})

    def add(self, plan: NodePlan) -> None:
        """Cap tills; leave everything else as it is."""
        super().add(replace(plan, caps=TILL_CAPS) if plan.name.startswith("T") else plan)


@contextmanager
def staged_shop(folder: Path, scenario: Scenario) -> Iterator[Shop]:
    """Stage a shop and take it down."""
    with BenchFleet(run_dir=folder, seed=scenario.seed) as fleet:
        cashiers = len(scenario.fleet.tills) + 1
        catalogue = build_catalogue(
            fleet.dir("masters"), plan=scenario.catalogue, cashiers=cashiers, seed=scenario.seed
        )
        yield stage_shop(fleet, scenario, catalogue, schedule=[], say=lambda text: print(text, file=sys.stderr))


def bench_scenario(*settings: tuple[str, str], tills: int) -> Scenario:
    """Return the smoke scenario with another fleet and other settings; its faults are not run here."""
    overrides = Overrides(tills=tills, values=settings)
    path = ROOT / "rehearsal" / "scenarios" / "smoke.toml"
    return load_scenario(path, faults=KnownFaults(), profiles=tuple(PROFILES), overrides=overrides)


def caps_enforced(shop: Shop) -> bool:
    """Tell whether the kernel holds the tills to their caps."""
    return shop.fleet.capper.reason == ""


def load_plan(
    shop: Shop, folder: Path, *, rate_per_s: float, duration_s: float, edits_per_s: float = 0, **changes: Any
) -> Plan:
    """Return a plan in which every till sells."""
    people = [CashierLogin(cashier_id=who.cashier_id, pin=who.pin) for who in shop.catalogue.cashiers]
    name, secret = next(iter(shop.clerks.items()))
    clerk = ClerkPlan(name=name, secret=secret, url=shop.url("backoffice"), rate_per_s=max(edits_per_s, 0.001))
    plan = Plan(
        seed=1,
        out_dir=str(folder),
        catalogue=str(shop.catalogue.folder),
        tills=tuple(
            TillPlan(name=till, url=shop.url(till), rate_per_s=rate_per_s, cashiers=(person,))
            for till, person in zip(shop.tills, people, strict=False)
        ),
        clerks=(clerk,) if edits_per_s else (),
        start_at_ms=time.time_ns() // 1_000_000 + round(START_S * 1000),
        duration_s=duration_s,
        mix=Mix(refund=0.03, void=0.02, lookup=0.1),
        business_date="2026-06-01",
        pairs=shop.catalogue.pairs,
    )
    return msgspec.structs.replace(plan, **changes)


def start_load(plan: Plan) -> subprocess.Popen[bytes]:
    """Start Locust on a plan."""
    folder = Path(plan.out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "load.json"
    path.write_bytes(msgspec.json.encode(plan))
    with (folder / "locust.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--headless"],
            cwd=ROOT, env={**os.environ, "TILLPROOF_LOAD": str(path)}, stdout=log, stderr=log,
        )  # fmt: skip


def finish_load(load: subprocess.Popen[bytes], plan: Plan) -> None:
    """Wait for Locust to end well."""
    assert plan.duration_s is not None
    code = load.wait(timeout=plan.duration_s + 60)
    assert code == 0, (Path(plan.out_dir) / "locust.log").read_text()[-2000:]


def wait_quiet(shop: Shop, tills: Sequence[str]) -> None:
    """Wait until the server has everything of some tills."""
    until(
        lambda: all(status["acked"] == status["head"] for status in map(status_of(shop), tills)), QUIET_DEADLINE_S
    )


def status_of(shop: Shop) -> Callable[[str], dict[str, Any]]:
    """Return a function that asks a till for its status."""

    def ask(till: str) -> dict[str, Any]:
        return till_status(shop.fleet, till) or {"acked": -1, "head": -2}

    return ask


def until(done: Callable[[], bool], deadline_s: float) -> None:
    """Wait until something is true."""
    end_s = time.monotonic() + deadline_s
    while not done():
        assert time.monotonic() < end_s, "waited too long"
        time.sleep(0.1)


def server_rows(shop: Shop, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of a query at the server's database."""
    with psycopg2.connect(shop.server_database.dsn) as connection, connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def histories(folder: Path) -> list[dict[str, Any]]:
    """Return the cashiers' history lines."""
    return [
        json.loads(line)
        for path in sorted(folder.glob("history-c*.jsonl"))
        for line in path.read_text().splitlines()
    ]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of values that are not empty."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]


def throttled_share(shop: Shop, till: str) -> dict[str, Any]:
    """Return what the kernel counted for a till."""
    counted = shop.fleet.counters()[till]
    return {name: getattr(counted, name) for name in counted.__dataclass_fields__}


def cpu_used_s(shop: Shop) -> dict[str, float]:
    """Return the CPU time of each node with its living children so far, in seconds; tills together."""
    used: dict[str, float] = {}
    for node in shop.fleet.names():
        pid = shop.fleet.pid(node)
        if pid is None:
            continue
        process = psutil.Process(pid)
        total = 0.0
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = one.cpu_times()
                total += times.user + times.system
        name = "tills" if node in shop.tills else node
        used[name] = used.get(name, 0.0) + total
    return used
