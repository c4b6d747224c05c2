"""One run from plan to report: plan, stage, drive, heal, drain, close the day, read, judge, report.

Keeps: nothing that the run started outlives it, and whatever was learned before it broke off is reported.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from chaos.errors import ChaosError
from chaos.fleet.base import Fleet
from chaos.fleet.plan import NodePlan
from rehearsal import options as naming
from rehearsal.announce import announce
from rehearsal.catalogue import Catalogue, build_catalogue
from rehearsal.drive.backups import EDIT_COLUMNS
from rehearsal.drive.disks import ENTRY_COLUMNS
from rehearsal.drive.generator import check_bind
from rehearsal.drive.recording import AS_RUN, record_scenario
from rehearsal.drive.samplers import Samplers
from rehearsal.drive.selling import START_S, Sold, sell
from rehearsal.drive.till_api import Refused, identity_session
from rehearsal.drive.timeline import in_real_time
from rehearsal.drive.watching import Watch
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.evidence.export import seal, write_rows
from rehearsal.judge import judge
from rehearsal.model import Meta, RunRecord
from rehearsal.options import Options, overrides_of, scenario_path
from rehearsal.plan.loader import ScenarioInvalid
from rehearsal.plan.scenario import Scenario
from rehearsal.progress import Progress
from rehearsal.report.write import lead_to, write_report
from rehearsal.run_state import Run
from rehearsal.settle.meta import meta_of
from rehearsal.settle.record import generator_late_p99_ms, machines, write_evidence
from rehearsal.settle.settling import settle
from rehearsal.staging.fleets import open_fleet
from rehearsal.staging.servers import MASTERS
from rehearsal.staging.shop import Shop, stage_shop
from rehearsal.witness import Witness

Rewrite = Callable[[NodePlan], NodePlan]


class CouldNotRun(Exception):
    """Nothing could be judged because the shop could not be staged; the message says why."""


class Interrupted(CouldNotRun):
    """The staging was ended from outside: whoever runs several ends as well."""


def conduct(
    scenario: Scenario,
    options: Options,
    progress: Progress,
    *,
    rewrite: Rewrite | None = None,
    watch: Watch | None = None,
) -> RunRecord:
    """Run a scenario and return its record, written to the report folder; raises CouldNotRun, CannotRun.

    `rewrite` may change how nodes are started: only the proof of the judge, which plants bugs, gives one.
    `watch` is told how it goes, and may interfere: the live page.
    """
    check_bind(options.locust)
    begun = datetime.now(UTC)
    begins = None
    if options.real_time:
        scenario, begins = in_real_time(scenario, datetime.now().astimezone())
    folder = options.reports.resolve() / naming.run_id(scenario.name, scenario.seed, begun)
    run = Run(
        scenario=scenario, options=options, folder=folder, progress=progress, begun=begun, commit=naming.commit(),
        begins=begins, business_date=datetime.now().astimezone().date().isoformat(), watch=watch or Watch(),
    )  # fmt: skip
    folder.mkdir(parents=True)
    run.watch.begun(scenario, folder)
    with _terminated_as_interrupt():
        try:
            fleet, why = open_fleet(options.fleet, scenario, folder, rewrite=rewrite)
        except ChaosError as error:
            raise CouldNotRun(str(error)) from error
        with fleet:
            meta = _with_fleet(run, fleet, why)
    run.watch.phase("judging")
    record = report(folder, meta, progress)
    run.watch.judged(record)
    return record


def report(folder: Path, meta: Meta, progress: Progress) -> RunRecord:
    """Seal the evidence, judge it and write the report."""
    progress.say("judging")
    meta = seal(folder / "evidence", meta)
    record = RunRecord(folder=folder, meta=meta, judgement=judge(folder / "evidence"))
    write_report(record)
    if why := lead_to(folder, latest="latest"):
        progress.say(why)
    return record


def _with_fleet(run: Run, fleet: Fleet, why: str) -> Meta:
    """Stage, sell, settle, and put everything on record."""
    scenario, progress = run.scenario, run.progress
    announce(run, fleet, why)
    try:
        catalogue = _catalogue(run, fleet)
        shop = stage_shop(fleet, scenario, catalogue, schedule=_schedule(run), say=progress.say)
    except ChaosError as error:
        raise CouldNotRun(str(error)) from error
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted while the shop was being staged") from error
    finally:
        progress.still()
    witness = Witness(shop.till_databases, shop.server_databases)
    samplers: list[Samplers] = []
    parts = run.folder / "load"
    parts.mkdir()
    try:
        sold = sell(
            scenario, shop, witness, samplers, parts=parts, business_date=run.business_date, progress=progress,
            begins_in_s=_begins_in_s(run), workers=run.options.locust, watch=run.watch,
        )  # fmt: skip
        run.trouble += sold.trouble
        run.interrupted = sold.interrupted
        _record(run, sold)
        run.watch.phase("settling")
        settle(run, shop, witness, parts, sold)
        return _put_on_record(run, shop, sold, samplers, witness)
    finally:
        for sampler in samplers:
            sampler.stop()
        witness.close()


def _put_on_record(run: Run, shop: Shop, sold: Sold, samplers: list[Samplers], witness: Witness) -> Meta:
    """Write the evidence and return what goes to meta.json."""
    run.progress.say("reading the witnesses")
    evidence, parts = run.folder / "evidence", run.folder / "load"
    late_ms = generator_late_p99_ms(parts)
    for sampler in samplers:
        run.trouble += sampler.stop()
    if sold.reigns is not None:
        run.trouble += sold.reigns.stop()
    counted = machines(shop.fleet)
    run.trouble += write_evidence(
        evidence,
        shop=shop,
        parts=parts,
        witness=witness,
        settlement=_settlement(run, shop, witness, sold),
        alive=tuple(shop.till_databases),
    )
    if sold.disks and sold.disks.losses:
        write_rows(evidence / "losses", "entries", ENTRY_COLUMNS, sold.disks.lost_entries)
    if sold.backups and sold.backups.restores:
        write_rows(evidence / "losses", "edits", EDIT_COLUMNS, sold.backups.lost_edits)
    note_lost(run, shop.fleet)
    for sampler in samplers:
        sampler.write(evidence)
    if sold.reigns is not None and sold.probe is not None:
        sold.reigns.write(evidence)
        sold.probe.write(evidence)
    meta = meta_of(run, shop, sold, counted=counted, late_p99_ms=late_ms)
    run.watch.phase("stopping")
    run.progress.say("stopping the shop")
    return meta


def note_lost(run: Run, fleet: Fleet) -> None:
    """Put on record which parts of the lab itself ended: whatever the shop shows since then is not its own."""
    for part in fleet.lost():
        run.left_behind.append(f"its {part}")
        run.trouble.append(f"the lab's {part} ended by itself")


def _record(run: Run, sold: Sold) -> None:
    """When something was done by hand, write the run as the scenario that it became; `--record` names a copy."""
    options, scenario = run.options, run.scenario
    files = [run.folder / AS_RUN] if run.watch.control.done() else []
    files += [options.record] if options.record is not None else []
    for file in files:
        try:
            record_scenario(
                file, path=scenario_path(options.scenario), overrides=overrides_of(options), scenario=scenario,
                carried_out=sold.carried_out, interventions=run.watch.control.done(), started_ms=sold.started_ms,
            )  # fmt: skip
        except (OSError, ValueError, ScenarioInvalid) as error:
            run.trouble.append(f"{file.name} could not be recorded: {error}")


def _settlement(run: Run, shop: Shop, witness: Witness, sold: Sold) -> list[dict[str, Any]]:
    """Return the server's own report of the run's days, asked for as a clerk."""
    name = next(iter(shop.clerks))
    try:
        session = identity_session(shop.url(witness.live()), kind="clerk", name=name, secret=shop.clerks[name])
        dates = dict.fromkeys((run.business_date, *(one.next_date for one in sold.cleaned)))
        found = [day for date in dates for day in session.get(f"/v1/settlement?date={date}")]
    except (Refused, WitnessUnreadable) as error:
        run.trouble.append(f"the server gave no settlement: {error}")
        return []
    return found


def _catalogue(run: Run, fleet: Fleet) -> Catalogue:
    cashiers = len(run.scenario.fleet.tills) * run.scenario.load.cashiers_per_till + 1
    return build_catalogue(
        fleet.dir(MASTERS), plan=run.scenario.catalogue, cashiers=cashiers, seed=run.scenario.seed,
        masters=run.options.masters,
    )  # fmt: skip


def _schedule(run: Run) -> list[dict[str, Any]]:
    """Return the tills' sync schedule: the real windows on the real clock, else the whole day."""
    sync = run.scenario.sync
    if sync.scheduled_every_s is None:
        return []
    every_s = math.ceil(sync.scheduled_every_s)
    windows = sync.real_windows if run.options.real_time and sync.real_windows else (("00:00", "23:59"),)
    return [{"from": start, "to": end, "every_s": every_s} for start, end in windows]


def _begins_in_s(run: Run) -> float:
    soonest_s = START_S + run.options.locust.join_s
    if run.begins is None:
        return soonest_s
    return max(soonest_s, (run.begins - datetime.now().astimezone()).total_seconds())


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
