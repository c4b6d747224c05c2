"""The selling part of a run: load, stages, faults, flips and samples on one clock, until all of it is over.

Keeps: on the way out, however it goes, every fault is lifted and the generator is gone; what was planned and did
not take place is trouble of the run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from chaos.errors import ChaosError
from chaos.faults.base import Context
from loadtest.history import History
from rehearsal.drive.backups import ShopBackups, backups_of
from rehearsal.drive.cleaning import Cleaning
from rehearsal.drive.disks import ShopDisks
from rehearsal.drive.fault_witness import FaultWitness
from rehearsal.drive.faults import FaultRunner
from rehearsal.drive.flips import FlipRunner
from rehearsal.drive.generator import LOAD, end_load, load_failed, start_load
from rehearsal.drive.loadplan import load_plan
from rehearsal.drive.operator import Operator
from rehearsal.drive.probe import ProbeTill
from rehearsal.drive.reigns import Reigns
from rehearsal.drive.samplers import Samplers
from rehearsal.drive.stages import StageRunner
from rehearsal.drive.system import system_plan
from rehearsal.drive.takeover import Takeover
from rehearsal.drive.watching import Selling, Watch
from rehearsal.model import Cleaned, FailoverRecord, FaultRecord, StageRecord
from rehearsal.options import ALONE, LocustWorkers
from rehearsal.plan.scenario import FaultPlan, Scenario
from rehearsal.progress import Progress
from rehearsal.staging.shop import Shop
from rehearsal.witness import Witness

LOOK_S = 0.5
START_S = 5.0  # for Locust to start
GRACE_S = 10.0
SLACK_S = 45.0
READ_S = 30.0  # for the last stage to be read at its end
CLERK_HISTORY = "d1"


@dataclass(slots=True, kw_only=True)
class Sold:
    """What came of the selling."""

    started_ms: int
    ended_ms: int = 0
    generator_exit: int | None = None
    interrupted: bool = False
    trouble: list[str] = field(default_factory=list)
    stages: tuple[StageRecord, ...] = ()
    faults: tuple[FaultRecord, ...] = ()
    failovers: tuple[FailoverRecord, ...] = ()
    parity: dict[str, str] = field(default_factory=dict)
    operator_started: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()
    reigns: Reigns | None = None
    probe: ProbeTill | None = None
    disks: ShopDisks | None = None
    carried_out: tuple[tuple[FaultPlan, FaultRecord], ...] = ()
    cleaned: tuple[Cleaned, ...] = ()
    backups: ShopBackups | None = None


def sell(
    scenario: Scenario, shop: Shop, witness: Witness, samplers_of: list[Samplers], *, parts: Path,
    business_date: str, progress: Progress, watch: Watch, begins_in_s: float = START_S,
    workers: LocustWorkers = ALONE,
) -> Sold:  # fmt: skip
    """Run the load with everything around it; a KeyboardInterrupt ends it early and is noted."""
    begin = watch.control.begin = time.monotonic() + begins_in_s
    begin_ms = time.time_ns() // 1_000_000 + round(begins_in_s * 1000)
    sold = Sold(started_ms=begin_ms, backups=backups_of(shop))
    disks = ShopDisks(shop, witness, parts=parts, seed=scenario.seed, business_date=business_date)
    context = Context(
        fleet=shop.fleet,
        witness=FaultWitness(witness, urls={till: shop.url(till) for till in shop.tills}, histories=parts),
        system=system_plan(scenario, shop, disks, sold.backups),
    )
    faults = FaultRunner(scenario, context, say=progress.say, control=watch.control)
    cleaning = Cleaning(shop, witness, parts=parts, business_date=business_date, say=progress.say)
    reigns = Reigns(witness)
    operator = Operator(shop, reigns, patience_s=scenario.fleet.patience_s, say=progress.say)
    stop = threading.Event()
    takeover = Takeover(shop, witness, reigns=reigns, operator=operator, stop=stop)
    stages = StageRunner(
        scenario.stages,
        shop=shop,
        witness=witness,
        takeover=takeover,
        cleaning=cleaning,
        stop=stop,
        say=progress.say,
    )
    history = History(parts, CLERK_HISTORY)
    flips = FlipRunner(scenario, shop=shop, history=history, say=progress.say)
    samplers = Samplers(
        witness, shop.tills, settled=lambda till: _settled(scenario, faults, till), counters=shop.fleet.counters
    )
    samplers_of.append(samplers)
    try:
        plan = load_plan(scenario, shop, out_dir=parts, start_at_ms=begin_ms, business_date=business_date)
        start_load(shop.fleet, msgspec.json.encode(plan), workers, say=progress.say)
        samplers.start()
        reigns.start()
        operator.start()
        stages.start(begin)
        faults.start(begin)
        flips.start(begin, begin_ms)
        watch.selling(
            Selling(
                scenario=scenario, shop=shop, witness=witness, faults=faults, stages=stages, samplers=samplers,
                operator=operator, parts=parts, begin=begin,
            )
        )  # fmt: skip
        _wait_for_end(
            scenario, shop, stages,
            lambda: _look(watch, progress, _figures(samplers, stages.current, begin)), begin,
        )  # fmt: skip
    except KeyboardInterrupt:
        sold.interrupted = True
        progress.say("interrupted: healing and stopping")
    except ChaosError as error:
        sold.trouble.append(f"the lab failed while selling: {error}")
    finally:
        watch.phase("healing")
        sold.ended_ms = min(time.time_ns() // 1_000_000, begin_ms + round(scenario.load.duration_s * 1000))
        progress.still()
        stages.stop()
        flips.stop()
        sold.trouble += _missed(stages, flips, interrupted=sold.interrupted)
        sold.trouble += faults.heal()
        sold.generator_exit = end_load(shop.fleet, workers, sold)
        history.end()
        sold.trouble += operator.stop()
    _note(sold, faults=faults, stages=stages, operator=operator, takeover=takeover)
    sold.disks, sold.cleaned, sold.reigns = disks, cleaning.end(), reigns
    sold.left_behind = (*stages.left_behind, *cleaning.undone)
    return sold


def _note(sold: Sold, *, faults: FaultRunner, stages: StageRunner, operator: Operator, takeover: Takeover) -> None:
    """Put on record what came of the schedule."""
    sold.stages, sold.faults = tuple(stages.records), faults.records()
    sold.carried_out = tuple(faults.carried_out())
    sold.failovers, sold.parity, sold.probe = operator.done, takeover.parity, takeover.probe
    sold.operator_started = tuple(takeover.started)


def _missed(stages: StageRunner, flips: FlipRunner, *, interrupted: bool) -> list[str]:
    """Return what was planned and did not take place; a gate, or who interrupted, is the reason for all of it."""
    if stages.shut:
        return [stages.shut]
    return [] if interrupted else [*stages.trouble, *flips.trouble]


def _look(watch: Watch, progress: Progress, figures: str) -> None:
    """Show how it goes; end the selling when somebody wants that."""
    progress.figures(figures)
    watch.control.check()


def _settled(scenario: Scenario, faults: FaultRunner, till: str) -> bool:
    wait_s = scenario.stale_bound_s
    if till in scenario.sync.scheduled_only:
        wait_s += scenario.sync.scheduled_every_s or 0.0
    return faults.settled(till, wait_s)


def _wait_for_end(
    scenario: Scenario, shop: Shop, stages: StageRunner, show: Callable[[], None], begin: float
) -> None:
    """Return when the generator has ended and the schedule is over, or a gate stays shut.

    A generator ends before the schedule when nobody comes any more; one that failed ends the selling. Raises
    ChaosError when it is far too late.
    """
    load = scenario.load
    last_s = load.duration_s + load.sale_deadline_ms / 1000 + GRACE_S + SLACK_S
    while not stages.shut:
        at_s = time.monotonic() - begin
        if shop.fleet.state(LOAD) == "running":
            if at_s > last_s:
                raise ChaosError(f"the load generator still runs {last_s:.0f} s after the start")
        elif load_failed(shop.fleet) or at_s >= load.duration_s + (0.0 if stages.over else READ_S):
            return
        show()
        time.sleep(LOOK_S)


def _figures(samplers: Samplers, stage: str, begin: float) -> str:
    """Return the moving line: how long, which stage, how fast, who is behind."""
    behind = {till: head - there for till, (head, there) in sorted(samplers.latest.items()) if head > there}
    backlog = ", ".join(f"{till} {count}" for till, count in behind.items()) or "none"
    rate = samplers.rate_per_s()
    second = max(0.0, time.monotonic() - begin)
    return f"{second:4.0f} s  {stage or 'starting'}  {rate:5.1f} entries/s  backlog: {backlog}"
