"""The R rows: bugs planted in real processes, each under the least scenario that should show it.

Keeps: a row is caught only when its named checker says INVALID with the bug, and the same scenario is GO without
it; what this machine can't run, or could not judge, is "not run" or "untold".
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

from chaos.errors import ChaosError
from rehearsal.conduct import CouldNotRun, Rewrite, conduct
from rehearsal.model import Judgement, Outcome, RunRecord, Verdict
from rehearsal.options import Options
from rehearsal.plan.loader import ScenarioInvalid
from rehearsal.progress import Progress
from rehearsal.prove.launcher import plant_in
from rehearsal.prove.planted import all_planted
from rehearsal.prove.row import Caught, Part, Result, Row, judged
from rehearsal.running import read_scenario

SCENARIOS = Path(__file__).parent / "scenarios"


def processes_part(reports: Path) -> Part:
    """Return the R rows; their runs are kept in `reports`."""
    rows = tuple(Row(id=bug.id, title=bug.title, fault=bug.fault, expected=bug.expected) for bug in all_planted())
    return Part(name="processes", rows=rows, prove=lambda wanted: _prove(wanted, reports))


def _prove(rows: tuple[Row, ...], reports: Path) -> Iterator[Result]:
    """Prove one after another; a scenario's run without the bug serves all of its rows."""
    bugs = {bug.id: bug for bug in all_planted()}
    twins: dict[str, Result] = {}
    for row in rows:
        bug = bugs[row.id]
        if bug.scenario not in twins:
            twins[bug.scenario] = run_clean(row, SCENARIOS / f"{bug.scenario}.toml", reports)
        twin = twins[bug.scenario]
        if twin.caught is not Caught.GO:
            note = f"without the bug the scenario {bug.scenario} is not GO: {twin.note}"
            caught = Caught.WRONG if twin.caught is Caught.NOT_GO else twin.caught
            yield Result(row=row, caught=caught, convicted=twin.convicted, note=note, seconds=twin.seconds)
            continue
        yield _with_bug(row, SCENARIOS / f"{bug.scenario}.toml", reports, plant_in(bug))


def _with_bug(row: Row, path: Path, reports: Path, rewrite: Rewrite) -> Result:
    started = time.monotonic()
    try:
        record = run_quietly(path, reports, rewrite=rewrite)
    except (CouldNotRun, ScenarioInvalid, ChaosError, OSError) as error:
        return Result(row=row, caught=Caught.NOT_RUN, note=str(error), seconds=time.monotonic() - started)
    convicted = convicting(record.judgement)
    caught = judged(row.expected, convicted)
    if caught is Caught.ESCAPED and record.judgement.verdict is Outcome.INCONCLUSIVE:
        caught = Caught.UNTOLD
    return Result(
        row=row,
        caught=caught,
        convicted=convicted,
        seed=record.meta.seed,
        seconds=time.monotonic() - started,
        note=why(record.judgement, row.expected),
        ran=str(record.folder),
    )


def run_clean(row: Row, path: Path, reports: Path) -> Result:
    """Run a scenario as it is shipped."""
    started = time.monotonic()
    try:
        record = run_quietly(path, reports)
    except (CouldNotRun, ScenarioInvalid, ChaosError, OSError) as error:
        return Result(row=row, caught=Caught.NOT_RUN, note=str(error), seconds=time.monotonic() - started)
    verdict = record.judgement.verdict
    kinds = {Outcome.GO: Caught.GO, Outcome.NO_GO: Caught.NOT_GO, Outcome.INCONCLUSIVE: Caught.UNTOLD}
    return Result(
        row=row,
        caught=kinds[verdict],
        convicted=convicting(record.judgement),
        seed=record.meta.seed,
        seconds=time.monotonic() - started,
        note="" if verdict is Outcome.GO else record.judgement.why,
        ran=str(record.folder),
    )


def run_quietly(path: Path, reports: Path, *, rewrite: Rewrite | None = None) -> RunRecord:
    """Run a scenario without its own words on the terminal; its folder in `reports` has them all.

    Raises KeyboardInterrupt when somebody ended it, though the run itself was reported.
    """
    options = Options(scenario=str(path), fleet="process", reports=reports)
    try:
        record = conduct(read_scenario(path, options), options, Progress(io.StringIO()), rewrite=rewrite)
    except CouldNotRun as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from error
        raise
    if record.meta.interrupted:
        raise KeyboardInterrupt
    return record


def convicting(judgement: Judgement) -> tuple[str, ...]:
    """Return the checkers that said INVALID."""
    return tuple(check.name for check in judgement.checks if check.verdict is Verdict.INVALID)


def why(judgement: Judgement, expected: str) -> str:
    """Return what the expected checker said."""
    said = [check.detail for check in judgement.checks if check.name == expected]
    return said[0] if said else judgement.why
