"""Runs as a renderer meets them: written by hand and by a seed, with a small evidence folder each."""

from __future__ import annotations

import csv
import json
import math
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rehearsal.model import (
    CheckResult,
    Claim,
    Drain,
    FaultRecord,
    Fleet,
    Gross,
    Judgement,
    Load,
    Machine,
    Meta,
    Outcome,
    RunRecord,
    Sales,
    StageRecord,
    ThresholdResult,
    Verdict,
)

START_MS = 1_714_543_200_000
SECONDS = 180
TILLS = tuple(f"T{n:02d}" for n in range(1, 11))
DATES = ("2024-05-01", "2024-05-02", "2024-05-03")
HOSTILE = (
    "<script>alert(1)</script>\"'|`*_[x](javascript:alert(1)) \u202egnp.exe\x00\x1b[31m &amp; ]]>\n# head\n"
    + "W" * 300
)
NAMES = (
    "receipts",
    "money",
    "settlement",
    "masters",
    "documents",
    "edits",
    "prices",
    "stock",
    "chain",
    "drain",
    "experience",
    "validity",
)
OUTCOMES = ("go", "no-go", "inconclusive", "interrupted", "hostile", "empty")


def sample(folder: Path, kind: str) -> RunRecord:
    """Write an evidence folder below `folder` and return the record of a run; `kind` is one of OUTCOMES."""
    if kind == "empty":
        (folder / "evidence").mkdir(parents=True)
        return replace(_record(folder, "interrupted"), meta=_bare(_meta("interrupted")))
    _evidence(folder / "evidence", kind)
    return _record(folder, kind)


def _record(folder: Path, kind: str) -> RunRecord:
    return RunRecord(folder=folder, meta=_meta(kind), judgement=_judgement(kind))


def _bare(meta: Meta) -> Meta:
    return replace(
        meta,
        stages=(),
        faults=(),
        machines=(),
        versions={},
        real={},
        options={},
        drain=None,
        thresholds=(),
        claims=(),
        fleet=replace(meta.fleet, tills=()),
        trouble=("the server did not start",),
        commit="",
    )


FAULTS = (
    ("cut", ("T03->server", "T07->server"), 30, 45, "no byte passed for 45.0 s; 61 sales made meanwhile"),
    ("black_hole", ("T01->server",), 40, 20, "2 connections hung, none was reset"),
    ("latency", ("T02->server",), 55, 30, "median round trip rose from 1.2 ms to 84 ms"),
    ("lost_ack", ("T05->server",), 70, 0, "server durable at 212, till had seen 196"),
    ("kill", ("server",), 90, 0, "process 4711 ended by signal 9; back after 1.9 s"),
    ("kill", ("T04",), 100, 0, "ended by signal 9 with 3 sales not yet acked"),
    ("pause", ("T06",), 112, 6, "no reply for 6.0 s"),
    ("postgres_restart", ("postgres",), 125, 0, "new postmaster; 14 connections were dropped"),
    ("clock_jump", ("T09",), 60, 60, "till clock moved by +3,600,000 ms"),
)


def _faults(kind: str) -> tuple[FaultRecord, ...]:
    made = [
        FaultRecord(
            kind=name,
            targets=targets,
            at_s=at,
            for_s=lasts,
            params={"ms": "80"} if name == "latency" else {},
            bit=True,
            evidence=proof,
            healed=True,
            heal_evidence="read back: no toxic left",
            stage="rollout",
            started_ms=START_MS + at * 1000 + 21,
            ended_ms=START_MS + (at + max(lasts, 2)) * 1000,
        )
        for name, targets, at, lasts, proof in FAULTS
    ]
    if kind == "inconclusive":
        made[1] = replace(made[1], bit=False, evidence="no connection used this link")
        made[6] = replace(made[6], bit=None, evidence="", healed=False, heal_evidence="still stopped")
        made[7] = replace(made[7], ran=False, bit=None, evidence="this fleet has no PostgreSQL of its own")
    if kind == "interrupted":
        return tuple(made[:3])
    if kind == "hostile":
        made[0] = replace(
            made[0], kind=HOSTILE[:40], targets=(HOSTILE,), evidence=HOSTILE * 3, params={"x": HOSTILE}
        )
    return tuple(made)


def _meta(kind: str) -> Meta:
    hostile = HOSTILE if kind == "hostile" else ""
    stages = (
        StageRecord(
            name="parity",
            title="Parity of preproduction",
            started_s=-6,
            ended_s=0,
            passed=True,
            detail="same schema, same build",
        ),
        StageRecord(
            name="pilot",
            title="Pilot with two tills",
            started_s=0,
            ended_s=25,
            passed=True,
            detail="64 receipts, masters equal",
        ),
        StageRecord(
            name="rollout",
            title="All ten tills",
            started_s=25,
            ended_s=150,
            passed=kind != "no-go",
            detail="window open" + hostile,
        ),
        StageRecord(name="close", title="Close the day", started_s=150, ended_s=165, passed=None),
        StageRecord(
            name="drain",
            title="Come to rest",
            started_s=165,
            ended_s=SECONDS,
            passed=True,
            detail="quiet after 9.4 s",
        ),
    )
    return Meta(
        schema=1,
        run_id="20240501T060000Z-go-live-7",
        scenario="go-live",
        title="Go-live: ten tills, one sync window" + hostile,
        seed=7,
        commit="0adcc60f3b2b4d5e6f708192a3b4c5d6e7f80910",
        started="2024-05-01T06:00:00Z",
        ended="2024-05-01T06:03:31Z",
        reproduce="tillproof run go-live --seed 7 --fleet process --profile lab-1g-2.40",
        options={"scenario": "go-live", "seed": "7", "fleet": "process", "set": hostile},
        fleet=Fleet(
            kind="process",
            tills=TILLS,
            profile="lab-1g-2.40",
            till_database="sqlite",
            fault_engine="toxiproxy 2.12.0",
            caps_enforced=kind != "inconclusive",
            caps_how="control groups v2, memory.max and cpu.max",
            host_cpus=2,
            host_ghz=2.4,
            host_memory_mib=7936,
            till_memory_mib=1024,
            till_cpu_share=0.75,
        ),
        load=Load(
            started_ms=START_MS,
            ended_ms=START_MS + 150_000,
            rate_per_s=0.9,
            edits_per_s=1.5,
            products=100_000,
            business_dates=DATES,
            min_sales=1000,
            min_sales_in_fault=5,
            sale_deadline_ms=10_000,
            generator_exit=0,
            generator_late_p99_ms=3.1,
        ),
        drain=Drain(
            quiet=kind != "no-go",
            took_s=9.4,
            deadline_s=60,
            progressed=False,
            pending=("T03: 41 entries",) if kind == "no-go" else (),
        ),
        stages=stages[:3] if kind == "interrupted" else stages,
        faults=_faults(kind),
        thresholds=("sale.p99 <= 250ms", "settlement == exact", "sync.lag.p99 <= 5s"),
        claims=NAMES,
        machines=(
            *(
                Machine(
                    node=t,
                    capped=True,
                    memory_limit_mib=1024,
                    memory_peak_mib=71.4,
                    oom_kills=0,
                    cpu_limit_share=0.75,
                    cpu_used_s=14.2,
                    throttled_s=0.4,
                    throttled_periods=11,
                    periods=1800,
                    restarts=int(t == "T04"),
                )
                for t in TILLS
            ),
            Machine(node="server", capped=False, memory_peak_mib=212.0, cpu_used_s=81.0, restarts=1),
            Machine(node="postgres", capped=False),
        ),
        versions={"python": "3.11.2", "PostgreSQL": "18.0", "SQLite": "3.40.1", "tillproof": "0.1.0"},
        real={"products": 100_000, "sales_per_till_day": 900, "window_minutes": 70},
        interrupted=kind == "interrupted",
        trouble=(hostile,) if hostile else (),
    )


def _checks(kind: str) -> tuple[CheckResult, ...]:
    said = {name: CheckResult(name=name, verdict=Verdict.VALID, detail="1,412 of 1,412 hold") for name in NAMES}
    if kind == "no-go":
        rows = tuple(
            {
                "finding": "ok sale is not on the server",
                "op_id": f"{n:032x}",
                "till": "T03",
                "receipt_no": f"T03-AAAQE-{n:06d}",
                "asked_at": "01:12.4",
                "gross": str(100 + n),
            }
            for n in range(1, 42)
        )
        said["receipts"] = CheckResult(
            name="receipts",
            verdict=Verdict.INVALID,
            detail="41 sales that cashiers were told are done are not on the server",
            evidence=rows,
        )
        said["settlement"] = CheckResult(
            name="settlement",
            verdict=Verdict.INVALID,
            detail="T03 2024-05-01: Z 1,204.11, server 977.63",
            evidence=rows[:1],
        )
        said["masters"] = CheckResult(
            name="masters",
            verdict=Verdict.INVALID,
            detail="T08 differs in 3 rows of product",
            evidence=tuple(
                {
                    "till": "T08",
                    "table": "product",
                    "key": f"40{n}",
                    "till_row": "Äpfel, Boskoop, lose, Handelsklasse 1",
                    "server_row": "Äpfel, Boskoop, lose, Handelsklasse II",
                    "till_version": "3",
                    "server_version": "4",
                }
                for n in range(3)
            ),
        )
        said["drain"] = CheckResult(
            name="drain",
            verdict=Verdict.INVALID,
            detail="not quiet after 60 s: T03 has 41 entries, no progress",
            evidence=({"till": "T03", "pending": "41"},),
        )
        said["experience"] = CheckResult(
            name="experience",
            verdict=Verdict.INVALID,
            detail="worst ten seconds: T03 from 1:10, p99 2,310 ms",
            evidence=({"till": "T03", "from_s": "70", "p99_ms": "2310"},),
        )
    if kind in ("inconclusive", "interrupted"):
        said["validity"] = CheckResult(
            name="validity",
            verdict=Verdict.UNKNOWN,
            detail="the fault black_hole on T01 did not bite",
            evidence=({"missing": "black_hole on T01->server did not bite"},),
        )
        said["stock"] = CheckResult(name="stock", verdict=Verdict.UNKNOWN, detail="server/stock.csv is absent")
    if kind == "hostile":
        said["money"] = CheckResult(
            name="money",
            verdict=Verdict.INVALID,
            detail=HOSTILE,
            evidence=tuple({"name": HOSTILE, HOSTILE: "x", "till": HOSTILE} for _ in range(25)),
        )
        said[HOSTILE] = CheckResult(name="custom", verdict=Verdict.UNKNOWN, detail=HOSTILE * 50)
    return tuple(said.values())


def _judgement(kind: str) -> Judgement:
    outcome = {"go": Outcome.GO, "no-go": Outcome.NO_GO, "hostile": Outcome.NO_GO}.get(kind, Outcome.INCONCLUSIVE)
    why = {
        "go": "all 12 checks hold over 1,412 receipts, and all 9 faults bit",
        "no-go": "41 sales that cashiers were told are done are not on the server; and 4 more checks failed",
        "inconclusive": "nothing was disproved, but the fault black_hole on T01 did not bite",
        "interrupted": "stopped by Ctrl-C in the stage “All ten tills”",
        "hostile": HOSTILE,
    }[kind]
    total = 1_548_210
    bad = kind == "no-go"
    return Judgement(
        verdict=outcome,
        why=why,
        checks=_checks(kind),
        thresholds=(
            ThresholdResult(rule="sale.p99 <= 250ms", measured="2,310 ms" if bad else "38.2 ms", passed=not bad),
            ThresholdResult(rule="settlement == exact", measured="VALID", passed=True),
            ThresholdResult(
                rule="sync.lag.p99 <= 5s",
                measured="no samples" if kind == "inconclusive" else "91 ms",
                passed=None if kind == "inconclusive" else True,
            ),
        ),
        sales=Sales(
            attempted=1466,
            ok=1412,
            fail=3,
            info=51,
            on_tills=1412,
            on_server=1371 if bad else 1412,
            settled=1412,
            gross_minor=Gross(cashiers=total, tills=total, server=total - 22_648 if bad else total),
        ),
        claims=(
            *(
                Claim(
                    name=name,
                    claimed=True,
                    why="",
                    verdict=Verdict.INVALID if bad and name == "receipts" else Verdict.VALID,
                )
                for name in NAMES[:11]
            ),
            Claim(
                name="offline", claimed=True, why="two tills sold for 45 s without a server", verdict=Verdict.VALID
            ),
            Claim(name="hardware", claimed=False, why="limits on memory and processor could not be enforced here"),
            Claim(name="failover", claimed=False, why="this scenario has one server"),
        ),
        figures={
            "sale.p50": 11.3,
            "sale.p99": 38.2,
            "sale.max": 1904.0,
            "sale.refused": 0.0021,
            "sale.window.p99": 120.0,
            "sync.lag.p99": 91.0,
            "price.lag.p99": 77.5,
            "drain": 9400.0,
            "sales": 1412,
            "edits": 260,
            "faults.bit": 9,
            "memory.peak": 71.4,
            "throughput_per_s": 9.4,
        }
        if kind != "interrupted"
        else {},
    )


def _write(path: Path, names: str, rows: Iterable[Iterable[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(names.split())
        out.writerows(rows)


def _evidence(folder: Path, kind: str) -> None:
    rng = random.Random(7)  # noqa: S311 - sample data
    receipts = "till incarnation receipt_no op_id kind status business_date at_ms gross tax"
    report = "till business_date receipts gross tax tender amount state"
    server: list[list[object]] = []
    settled: list[list[object]] = []
    history: list[dict[str, object]] = []
    for till in TILLS:
        mine: list[list[object]] = []
        z: list[list[object]] = []
        for date in DATES:
            gross = 0
            for _ in range(5):
                number, op_id = f"{till}-AAAQE-{len(mine) + 1:06d}", f"{rng.getrandbits(128):032x}"
                amount = rng.randrange(100, 9000)
                gross += amount
                row = [
                    till,
                    "00" * 16,
                    number,
                    op_id,
                    "sale",
                    "posted",
                    date,
                    START_MS,
                    amount,
                    amount * 19 // 119,
                ]
                mine.append(row)
                if not (kind == "no-go" and till == "T03" and len(mine) > 12):
                    server.append(row)
                history.append({"type": "ok", "op_id": op_id, "till": till, "receipt_no": number, "gross": amount})
            z += [[till, date, 5, gross, gross * 19 // 119, tender, gross, ""] for tender in ("cash", "card")]
            state = "MISMATCH" if kind == "no-go" and till == "T03" and date == DATES[2] else "TALLIED"
            short = 22_648 if state == "MISMATCH" else 0
            settled.append([till, date, 5, gross - short, gross * 19 // 119, "cash", gross, state])
        _write(folder / f"tills/{till}/receipts.csv", receipts, mine)
        _write(folder / f"tills/{till}/z.csv", report, z)
    _write(folder / "server/receipts.csv", receipts, server)
    _write(folder / "server/settlement.csv", report, settled)
    lines = [json.dumps(line) for line in history]
    if kind == "inconclusive":
        lines.append('{"type": "ok", "op')
    (folder / "history.jsonl").write_text("\n".join(lines) + "\n")
    _samples(folder, rng, 60 if kind == "interrupted" else SECONDS)


def _samples(folder: Path, rng: random.Random, seconds: int) -> None:
    waves = [(s, max(0, round(9 + 4 * math.sin(s / 17) + rng.gauss(0, 1.5)))) for s in range(min(seconds, 150))]
    _write(folder / "throughput.csv", "second ok", waves)
    times = []
    for second in range(min(seconds, 150)):
        for till in TILLS:
            slow = 40 if till in ("T02", "T06") and 55 < second < 118 else 1
            p50 = rng.uniform(7, 14) * (1 + slow / 10)
            times.append(
                [
                    second,
                    till,
                    1,
                    f"{p50:.2f}",
                    f"{p50 * rng.uniform(1, 4) * slow**0.5:.2f}",
                    f"{p50 * 4 * slow**0.5:.2f}",
                    0,
                    int(second == 92),
                ]
            )
    _write(folder / "latency.csv", "second till n p50_ms p99_ms max_ms fail info", times)
    backlog = []
    for second in range(seconds):
        for till in TILLS:
            cut = till in ("T03", "T07") and 30 <= second < 75
            waiting = (
                (second - 30) * 1.1
                if cut
                else max(0, 49 - 16 * (second - 75))
                if till in ("T03", "T07") and second >= 75
                else rng.choice((0, 0, 0, 1))
            )
            head = second + 100
            backlog.append([START_MS + second * 1000, till, head, head, head - round(waiting)])
    _write(folder / "backlog.csv", "at_ms till head acked on_server", backlog)
    host = [[START_MS + s * 1000, f"{rng.uniform(35, 92):.1f}", 0, 1.2, 2000] for s in range(seconds)]
    _write(folder / "host.csv", "at_ms cpu_percent steal_percent load1 memory_available_mib", host)
