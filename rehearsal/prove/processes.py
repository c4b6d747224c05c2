"""The R rows: bugs planted in real processes, each under the least scenario that should show it.

Keeps: a row is caught only when its named checker says INVALID with the bug, and the same scenario is GO without
it; what this machine can't run, or could not judge, is "not run" or "untold".
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from chaos.errors import ChaosError
from rehearsal.conduct import CouldNotRun, Interrupted, Rewrite, conduct
from rehearsal.model import Judgement, Outcome, RunRecord, Verdict
from rehearsal.options import Options
from rehearsal.plan.loader import ScenarioInvalid
from rehearsal.plan.threshold import is_duration, parse_threshold
from rehearsal.progress import Progress
from rehearsal.prove.abreast import Job, Work
from rehearsal.prove.launcher import plant_in
from rehearsal.prove.planted import all_planted, planted_of
from rehearsal.prove.rehearsed import Asked
from rehearsal.prove.row import Caught, Result, Row, judged
from rehearsal.running import read_scenario

SCENARIOS = Path(__file__).parent / "scenarios"
FELT = "experience"
FELT_ALONE = frozenset({"R4", "R5"})  # convicted by how long a sale takes
LAB_ROOM = 5  # server, back office, Locust and the rehearsal itself: 0.3 processors, where a till takes 0.06
PREPRODUCTION_ROOM = 2


class OfScenario(Work, Protocol):
    """The run of a scenario."""

    @property
    def path(self) -> Path:
        """Return the scenario's file."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """A scenario as it is shipped, as the run of a row. `fleet`: as of `tillproof run`."""

    row: Row
    path: Path
    fleet: str = "process"

    def run(self, reports: Path) -> Result:
        """Run it: GO, NOT GO, untold or not run."""
        started = time.monotonic()
        try:
            record = run_quietly(self.path, reports, fleet=self.fleet)
        except (CouldNotRun, ScenarioInvalid, ChaosError, OSError) as error:
            return _not_run(self.row, str(error), seconds=time.monotonic() - started)
        verdict = record.judgement.verdict
        kinds = {Outcome.GO: Caught.GO, Outcome.NO_GO: Caught.NOT_GO, Outcome.INCONCLUSIVE: Caught.UNTOLD}
        return Result(
            row=self.row,
            caught=kinds[verdict],
            convicted=convicting(record.judgement),
            seed=record.meta.seed,
            seconds=time.monotonic() - started,
            note="" if verdict is Outcome.GO else record.judgement.why,
            ran=str(record.folder),
            late=late(record.judgement),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WithBug:
    """A scenario with a bug in its processes."""

    row: Row
    path: Path

    def run(self, reports: Path) -> Result:
        """Run it: caught, escaped, by the wrong checker, untold or not run."""
        started = time.monotonic()
        try:
            record = run_quietly(self.path, reports, rewrite=plant_in(planted_of(self.row.id)))
        except (CouldNotRun, ScenarioInvalid, ChaosError, OSError) as error:
            return _not_run(self.row, str(error), seconds=time.monotonic() - started)
        convicted = convicting(record.judgement)
        caught = judged(self.row.expected, convicted)
        if caught is Caught.ESCAPED and record.judgement.verdict is Outcome.INCONCLUSIVE:
            caught = Caught.UNTOLD
        return Result(
            row=self.row,
            caught=caught,
            convicted=convicted,
            seed=record.meta.seed,
            seconds=time.monotonic() - started,
            note=why(record.judgement, self.row.expected),
            ran=str(record.folder),
        )


def planted_rows() -> list[Asked]:
    """Return the R rows: each needs its scenario with the bug, and without; the latter serves many rows."""
    rows = [Row(id=bug.id, title=bug.title, fault=bug.fault, expected=bug.expected) for bug in all_planted()]
    return [Asked(row=row, jobs=_both(row), answer=_of_both) for row in rows]


def _both(row: Row) -> tuple[Job, Job]:
    scenario = planted_of(row.id).scenario
    path = SCENARIOS / f"{scenario}.toml"
    own = job_of(row.id, WithBug(row=row, path=path), alone=row.id in FELT_ALONE)
    return own, job_of(f"{scenario}-without", Clean(row=row, path=path))


def _of_both(results: Sequence[Result]) -> Result:
    own, twin = results
    if twin.caught is Caught.GO:
        return own
    note = f"without the bug its scenario is not GO: {twin.note}"
    caught = Caught.WRONG if twin.caught is Caught.NOT_GO else twin.caught
    return replace(twin, caught=caught, note=note)


def _not_run(row: Row, note: str, *, seconds: float = 0.0) -> Result:
    """Return that a row did not run, and why."""
    return Result(row=row, caught=Caught.NOT_RUN, note=note, seconds=seconds)


def job_of(name: str, work: OfScenario, *, alone: bool = False) -> Job:
    """Return a run as a job of its fleet's size; with a bug it may wait in vain for the drain, to its deadline."""
    scenario = read_scenario(work.path, Options(scenario=str(work.path)))
    in_vain_s = scenario.drain.deadline_s if isinstance(work, WithBug) else 0.0
    room = LAB_ROOM + PREPRODUCTION_ROOM * scenario.fleet.preproduction + len(scenario.fleet.tills)
    return Job(name=name, work=work, room=room, lasts_s=scenario.ends_s + in_vain_s, alone=alone)


def run_quietly(path: Path, reports: Path, *, fleet: str = "process", rewrite: Rewrite | None = None) -> RunRecord:
    """Run a scenario without its own words on the terminal; its folder in `reports` has them all.

    Raises KeyboardInterrupt when somebody ended it, though the run itself was reported.
    """
    options = Options(scenario=str(path), fleet=fleet, reports=reports)
    try:
        record = conduct(read_scenario(path, options), options, Progress(io.StringIO()), rewrite=rewrite)
    except Interrupted as error:
        raise KeyboardInterrupt from error
    if record.meta.interrupted:
        raise KeyboardInterrupt
    return record


def convicting(judgement: Judgement) -> tuple[str, ...]:
    """Return the checkers that said INVALID."""
    return tuple(check.name for check in judgement.checks if check.verdict is Verdict.INVALID)


def late(judgement: Judgement) -> bool:
    """Say whether nothing is wrong but that durations were missed."""
    missed = [rule.rule for rule in judgement.thresholds if rule.passed is False]
    slow = [is_duration(parse_threshold(rule)) for rule in missed]
    return bool(slow) and all(slow) and set(convicting(judgement)) <= {FELT} and not _without_a_rule(judgement)


def _without_a_rule(judgement: Judgement) -> bool:
    felt = [check for check in judgement.checks if check.name == FELT]
    return any(not row.get("rule") for check in felt for row in check.evidence)


def why(judgement: Judgement, expected: str) -> str:
    """Return what the expected checker said."""
    said = [check.detail for check in judgement.checks if check.name == expected]
    return said[0] if said else judgement.why
