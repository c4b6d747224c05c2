"""One run from plan to report: plan, stage, drive, heal, drain, close the day, read, judge, report.

Keeps: nothing that the run started outlives it, and whatever was learned before it broke off is reported.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from chaos.errors import ChaosError
from chaos.fleet.process import ProcessFleet
from loadtest.history import History
from rehearsal import options as naming
from rehearsal.catalogue import Catalogue, build_catalogue
from rehearsal.drive.samplers import Samplers
from rehearsal.drive.selling import START_S, Sold, sell
from rehearsal.drive.till_api import Refused, identity_session
from rehearsal.drive.timeline import in_real_time
from rehearsal.evidence.export import seal
from rehearsal.judge import judge
from rehearsal.model import META_SCHEMA, Drain, Load, Meta, RunRecord, StageRecord
from rehearsal.options import Options
from rehearsal.plan.scenario import Scenario
from rehearsal.progress import Progress
from rehearsal.report.write import write_report
from rehearsal.settle.closing import close_day
from rehearsal.settle.drain import drain, joined
from rehearsal.settle.record import (
    fleet_facts,
    generator_late_p99_ms,
    machines,
    versions,
    write_evidence,
)
from rehearsal.staging.shop import Shop, stage_shop
from rehearsal.witness import Witness

CLOSE_HISTORY = "d0"
NEVER_ENDING = ("load",)


class CouldNotRun(Exception):
    """Nothing could be judged because the shop could not be staged; the message says why."""


@dataclass(slots=True, kw_only=True)
class Conduct:
    """What a run collects on its way."""

    scenario: Scenario
    options: Options
    folder: Path
    progress: Progress
    begun: datetime
    commit: str
    begins: datetime | None = None
    business_date: str = ""
    trouble: list[str] = field(default_factory=list)
    stages: list[StageRecord] = field(default_factory=list)
    drained: Drain | None = None
    interrupted: bool = False


def conduct(scenario: Scenario, options: Options, progress: Progress) -> RunRecord:
    """Run a scenario and return its record, written to the report folder; raises CouldNotRun."""
    begun = datetime.now(UTC)
    begins = None
    if options.real_time:
        scenario, begins = in_real_time(scenario, datetime.now().astimezone())
    folder = options.reports.resolve() / naming.run_id(scenario.name, scenario.seed, begun)
    run = Conduct(
        scenario=scenario, options=options, folder=folder, progress=progress, begun=begun, commit=naming.commit(),
        begins=begins, business_date=datetime.now().astimezone().date().isoformat(),
    )  # fmt: skip
    folder.mkdir(parents=True)
    with _terminated_as_interrupt():
        try:
            fleet = ProcessFleet(run_dir=folder, seed=scenario.seed, engine=scenario.fleet.fault_engine)
        except ChaosError as error:
            raise CouldNotRun(str(error)) from error
        with fleet:
            meta = _with_fleet(run, fleet)
    return report(folder, meta, progress)


def report(folder: Path, meta: Meta, progress: Progress) -> RunRecord:
    """Seal the evidence, judge it and write the report."""
    progress.say("judging")
    meta = seal(folder / "evidence", meta)
    record = RunRecord(folder=folder, meta=meta, judgement=judge(folder / "evidence"))
    write_report(record)
    latest = folder.parent / "latest"
    fresh = folder.parent / f".latest-{meta.run_id}"
    fresh.symlink_to(folder.name)
    fresh.replace(latest)
    return record


def _with_fleet(run: Conduct, fleet: ProcessFleet) -> Meta:
    """Stage, sell, settle, and put everything on record."""
    scenario, progress = run.scenario, run.progress
    _announce(run, fleet)
    try:
        catalogue = _catalogue(run, fleet)
        shop = stage_shop(fleet, scenario, catalogue, schedule=_schedule(run), say=progress.say)
    except (ChaosError, KeyboardInterrupt) as error:
        raise CouldNotRun(str(error) or "interrupted while the shop was being staged") from error
    finally:
        progress.still()
    witness = Witness(shop.till_databases, shop.server_database)
    samplers: list[Samplers] = []
    parts = run.folder / "load"
    parts.mkdir()
    try:
        sold = sell(
            scenario, shop, witness, samplers, parts=parts, business_date=run.business_date, progress=progress,
            begins_in_s=_begins_in_s(run),
        )  # fmt: skip
        run.trouble += sold.trouble
        run.interrupted = sold.interrupted
        _settle(run, shop, witness, parts, sold)
        return _record(run, shop, sold, parts, samplers)
    finally:
        for sampler in samplers:
            sampler.stop()
        witness.close()


def _settle(run: Conduct, shop: Shop, witness: Witness, parts: Path, sold: Sold) -> None:
    """Drain, close the day, drain again; an interrupted run only drains, and briefly."""
    progress, deadline_s = run.progress, run.scenario.drain.deadline_s

    def endings() -> list[str]:
        found = [ending for ending in shop.fleet.unasked_endings() if ending.node not in NEVER_ENDING]
        return [f"{ending.node} ended by itself with {ending.status}" for ending in found]

    history = History(parts, CLOSE_HISTORY)
    try:
        progress.say("all faults lifted; waiting until the system is quiet")
        with _stage(run, sold, "drain", "The healed system comes to rest") as note:
            run.drained = drain(
                witness, shop.tills, deadline_s=10.0 if run.interrupted else deadline_s, endings=endings
            )
            note(run.drained.quiet, "; ".join(run.drained.pending[:5]) or f"quiet after {run.drained.took_s:g} s")
        if run.interrupted:
            return
        progress.say("closing the day")
        with _stage(run, sold, "close", "The day is closed and the last entries settle") as note:
            undone = close_day(shop, witness, history, shop.tills)
            second = drain(witness, shop.tills, deadline_s=deadline_s, endings=endings)
            run.drained = joined(run.drained, second)
            note(not undone and second.quiet, "; ".join([*undone, *second.pending][:5]) or "all tills closed")
            run.trouble += [] if run.drained.quiet else undone
    except KeyboardInterrupt:
        run.interrupted = True
        run.trouble.append("interrupted while the system was coming to rest")
    except ChaosError as error:
        run.trouble.append(f"the lab failed while settling: {error}")
    finally:
        history.end()


@contextmanager
def _stage(run: Conduct, sold: Sold, name: str, title: str) -> Iterator[Any]:
    """Note a stage of the settling; the body says whether it passed."""
    begun = time.time() - sold.started_ms / 1000
    outcome: list[tuple[bool | None, str]] = [(None, "not reached")]
    try:
        yield lambda passed, detail: outcome.append((passed, detail))
    finally:
        passed, detail = outcome[-1]
        ended = time.time() - sold.started_ms / 1000
        run.stages.append(
            StageRecord(
                name=name, title=title, started_s=round(begun, 2), ended_s=round(ended, 2), passed=passed,
                detail=detail,
            )
        )  # fmt: skip


def _record(run: Conduct, shop: Shop, sold: Sold, parts: Path, samplers: list[Samplers]) -> Meta:
    """Write the evidence and return what goes to meta.json."""
    run.progress.say("reading the witnesses")
    evidence = run.folder / "evidence"
    late_ms = generator_late_p99_ms(parts)
    for sampler in samplers:
        sampler.stop()
    counted = machines(shop.fleet, sold.faults)
    run.trouble += write_evidence(
        evidence, shop=shop, parts=parts, settlement=_settlement(run, shop), alive=shop.tills
    )
    for sampler in samplers:
        sampler.write(evidence)
    scenario, load = run.scenario, run.scenario.load
    return Meta(
        schema=META_SCHEMA,
        run_id=run.folder.name,
        scenario=scenario.name,
        title=scenario.title,
        seed=scenario.seed,
        commit=run.commit,
        started=run.begun.isoformat(timespec="seconds"),
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        reproduce=run.options.reproduce(scenario.seed),
        options=options_shown(run.options, scenario),
        fleet=fleet_facts(shop.fleet, scenario, shop.caps, shop.tills),
        load=Load(
            started_ms=sold.started_ms,
            ended_ms=sold.ended_ms,
            rate_per_s=load.rate_per_s * len(shop.tills),
            edits_per_s=scenario.backoffice.rate_per_s,
            products=shop.catalogue.products,
            business_dates=(run.business_date,),
            min_sales=load.min_sales,
            min_sales_in_fault=load.min_sales_in_fault,
            sale_deadline_ms=load.sale_deadline_ms,
            generator_exit=sold.generator_exit,
            generator_late_p99_ms=late_ms,
        ),
        drain=run.drained,
        stages=(*sold.stages, *run.stages),
        faults=sold.faults,
        thresholds=tuple(threshold.rule for threshold in scenario.thresholds),
        claims=_claims(scenario, shop),
        machines=counted,
        versions=versions(),
        real={name: float(value) for name, value in _real(scenario) if value},
        expected_z=tuple((till, run.business_date) for till in shop.tills),
        pairs=shop.catalogue.pairs,
        clock_error=_clock_error(scenario),
        stale_bound_s=scenario.stale_bound_s,
        currency=scenario.currency,
        interrupted=run.interrupted,
        trouble=tuple(run.trouble),
    )


def _claims(scenario: Scenario, shop: Shop) -> tuple[str, ...]:
    """Return the scenario's claims; the hardware can't be claimed where the kernel does not cap it."""
    enforced = all(counted.enforced for name, counted in shop.fleet.counters().items() if name in shop.tills)
    return tuple(claim for claim in scenario.claims if claim != "hardware" or enforced)


def _settlement(run: Conduct, shop: Shop) -> list[dict[str, Any]]:
    """Return the server's own report of the day, asked for as a clerk."""
    name = next(iter(shop.clerks))
    try:
        session = identity_session(shop.url("server"), kind="clerk", name=name, secret=shop.clerks[name])
        found = session.get(f"/v1/settlement?date={run.business_date}")
    except Refused as error:
        run.trouble.append(f"the server gave no settlement: {error}")
        return []
    return list(found)


def _announce(run: Conduct, fleet: ProcessFleet) -> None:
    """Print what will run, before anything does."""
    scenario, say = run.scenario, run.progress.line
    caps = fleet.capper.kind + (f": hardware not judged ({fleet.capper.reason})" if fleet.capper.reason else "")
    say(f"Tillproof  {scenario.name}: {scenario.title}")
    say(f"seed       {scenario.seed}")
    say(f"commit     {run.commit}")
    say(f"fleet      {fleet.kind}, {len(scenario.fleet.tills)} tills on {scenario.fleet.till_database}, "
        f"{scenario.fleet.profile}, caps by {caps}")  # fmt: skip
    say(f"faults     {len(scenario.faults)} through {fleet.engine.name}")
    for name, value in options_shown(run.options, scenario).items():
        say(f"{name:<10} {value}")
    say(f"report     {run.folder}")
    if run.begins is not None:
        say(f"begins     {run.begins:%Y-%m-%d %H:%M}")


def options_shown(options: Options, scenario: Scenario) -> dict[str, str]:
    """Return every option as it is in force."""
    return {
        "scenario": scenario.name,
        "fleet": options.fleet,
        "tills": str(len(scenario.fleet.tills)),
        "profile": scenario.fleet.profile,
        "set": ", ".join(f"{key}={value}" for key, value in options.values) or "nothing",
        "masters": str(options.masters or "generated"),
        "real-time": "yes" if options.real_time else "no",
    }


def _catalogue(run: Conduct, fleet: ProcessFleet) -> Catalogue:
    cashiers = len(run.scenario.fleet.tills) * run.scenario.load.cashiers_per_till + 1
    return build_catalogue(
        fleet.dir("masters"), plan=run.scenario.catalogue, cashiers=cashiers, seed=run.scenario.seed,
        masters=run.options.masters,
    )  # fmt: skip


def _schedule(run: Conduct) -> list[dict[str, Any]]:
    """Return the tills' sync schedule: the real windows on the real clock, else the whole day."""
    sync = run.scenario.sync
    if sync.scheduled_every_s is None:
        return []
    every_s = math.ceil(sync.scheduled_every_s)
    windows = sync.real_windows if run.options.real_time and sync.real_windows else (("00:00", "23:59"),)
    return [{"from": start, "to": end, "every_s": every_s} for start, end in windows]


def _begins_in_s(run: Conduct) -> float:
    if run.begins is None:
        return START_S
    return max(START_S, (run.begins - datetime.now().astimezone()).total_seconds())


def _real(scenario: Scenario) -> list[tuple[str, int]]:
    real = scenario.real
    return [
        ("products", real.products),
        ("sales_per_till_day", real.sales_per_till_day),
        ("window_minutes", real.window_minutes),
    ]


def _clock_error(scenario: Scenario) -> dict[str, int]:
    """Return by how much faults move the tills' clocks."""
    moved: dict[str, int] = {}
    for fault in scenario.faults:
        if fault.kind == "clock_jump":
            for till in fault.targets:
                by_ms = abs(int(fault.params.get("offset_ms", 0)))
                moved[till] = max(moved.get(till, 0), by_ms)
    return moved


@contextmanager
def _terminated_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does: healed, stopped and reported."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
