"""From a scenario file to an exit code: what `tillproof run` and `tillproof check` do."""

from __future__ import annotations

from pathlib import Path

from chaos.errors import ChaosError
from chaos.profiles import PROFILES
from rehearsal.conduct import CouldNotRun, conduct
from rehearsal.drive.faults import KnownFaults
from rehearsal.drive.timeline import NoRealTime
from rehearsal.drive.watching import Watch
from rehearsal.evidence.reader import Evidence, EvidenceMissing
from rehearsal.judge import judge
from rehearsal.model import EXIT_CODE, EXIT_COULD_NOT_RUN, Judgement, RunRecord, Verdict
from rehearsal.options import Options, overrides_of
from rehearsal.own_masters import MastersInvalid
from rehearsal.plan.loader import ScenarioInvalid, load_scenario
from rehearsal.plan.scenario import Scenario
from rehearsal.progress import Progress
from rehearsal.report.text import NO_MONEY, place, visible
from rehearsal.report.write import write_report

SHOWN = 5


def read_scenario(path: Path, options: Options) -> Scenario:
    """Read a scenario with the command line's changes; raises ScenarioInvalid."""
    try:
        return load_scenario(path, faults=KnownFaults(), profiles=tuple(PROFILES), overrides=overrides_of(options))
    except (OSError, ValueError) as error:  # no text, or a number of too many digits for tomllib
        raise ScenarioInvalid(f"{path}: can't be read: {error}") from error


def run_watched(path: Path, options: Options, port: int) -> int:
    """Run with the live page on a port of this machine (0: any); return the exit code."""
    from rehearsal.live.serving import live_page

    progress = Progress()
    try:
        with live_page(port) as (board, address):
            progress.heard = board.hear
            progress.line(f"page       {address}")
            code = run_scenario(path, options, progress=progress, watch=board)
            if board.outcome is None:
                board.gave_up(board.last_line())
            return code
    except OSError as error:
        return _could_not_run(progress, f"could not run: port {port} of the live page: {error.strerror or error}")


def run_scenario(
    path: Path, options: Options, *, progress: Progress | None = None, watch: Watch | None = None
) -> int:
    """Run, judge, report; return the exit code."""
    progress = progress or Progress()
    try:
        record = conduct(read_scenario(path, options), options, progress, watch=watch)
    except ScenarioInvalid as error:
        return _could_not_run(progress, str(error))
    except (CouldNotRun, NoRealTime, MastersInvalid, ChaosError, OSError) as error:
        return _could_not_run(progress, f"could not run: {error}")
    except KeyboardInterrupt:
        return _could_not_run(progress, "could not run: interrupted")
    say_judgement(progress, record.judgement)
    report = record.folder / "report.html"
    progress.line(
        f"{record.judgement.verdict}: {visible(record.judgement.why).rstrip('.')}. Report: {place(report)}"
    )
    return EXIT_CODE[record.judgement.verdict]


def check_run(folder: Path, *, write: bool = False) -> int:
    """Judge a finished run again from its evidence; return the exit code.

    `write`: put the report that follows from it in place of the run's; bare evidence has no place for one.
    """
    progress = Progress()
    evidence = folder / "evidence" if (folder / "evidence").is_dir() else folder
    try:
        meta = Evidence(evidence).meta()
    except (OSError, EvidenceMissing, ValueError) as error:
        progress.line(f"could not check: {folder} is not a run's folder or evidence: {visible(error)}")
        return EXIT_COULD_NOT_RUN
    if write and evidence == folder:
        progress.line(f"could not check: {folder} is evidence alone; --write needs a run's folder")
        return EXIT_COULD_NOT_RUN
    judgement = judge(evidence)
    say_judgement(progress, judgement)
    where = f"Evidence: {place(evidence)}"
    if write:
        try:
            where = f"Report: {place(write_report(RunRecord(folder=folder, meta=meta, judgement=judgement)))}"
        except OSError as error:
            progress.line(f"could not write the report: {error}")
            return EXIT_COULD_NOT_RUN
    progress.line(f"{judgement.verdict}: {visible(judgement.why).rstrip('.')}. {where}")
    return EXIT_CODE[judgement.verdict]


def say_judgement(progress: Progress, judgement: Judgement) -> None:
    """Print the checks, with the first findings of those that do not acquit, and the thresholds.

    What they quote was written by whoever made the evidence: it stays on its line, and commands no terminal.
    """
    for check in judgement.checks:
        progress.line(f"  {check.verdict:<8} {visible(check.name):<11} {visible(check.detail)}")
        for row in check.evidence[:SHOWN] if check.verdict is not Verdict.VALID else ():
            found = ", ".join(f"{key}={value}" for key, value in row.items() if value)
            progress.line(f"             {visible(found)}")
    for rule in judgement.thresholds:
        passed = {True: "held", False: "MISSED", None: "unknown"}[rule.passed]
        progress.line(f"  {passed:<8} {visible(rule.rule)}: {visible(rule.measured)}")
    if not judgement.sales.known:
        progress.line(f"  gross    {NO_MONEY}")
        return
    money = judgement.sales.gross_minor
    progress.line(
        f"  gross    cashiers {money.cashiers}, tills {money.tills}, server {money.server} (minor units)"
    )


def _could_not_run(progress: Progress, text: str) -> int:
    progress.still()
    progress.line(text)
    return EXIT_COULD_NOT_RUN
