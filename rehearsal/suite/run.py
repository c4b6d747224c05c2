"""Runs a suite: one rehearsal after another, each judged as ever, then what they show together.

Keeps: a run that broke off leaves the others; money that is wrong in any of them makes the whole NO-GO.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from chaos.errors import ChaosError
from rehearsal.checkers import experience, validity
from rehearsal.conduct import CouldNotRun, Interrupted, conduct
from rehearsal.evidence.reader import Evidence, EvidenceMissing
from rehearsal.judge import conclude as conclusion
from rehearsal.model import (
    EXIT_CODE,
    EXIT_COULD_NOT_RUN,
    CheckResult,
    Outcome,
    RunRecord,
    ThresholdResult,
    Verdict,
)
from rehearsal.plan.threshold import ThresholdInvalid, parse_threshold
from rehearsal.progress import Progress
from rehearsal.report.text import visible
from rehearsal.suite.capacity import Capacity, capacity
from rehearsal.suite.plan import CapacityPlan, Planned, Suite
from rehearsal.suite.resources import Span, ran_out
from rehearsal.suite.windows import WINDOW_S, Stretch, stretches

SATURATED = frozenset({"the host was saturated", "the load generator was late"})  # as validity says it
FELT = frozenset({"experience", "hardware"})  # claims that a ramp to the limit is bound to leave unknown
Conduct = Callable[[Planned, Progress], RunRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run of a suite and what came of it. `record` None: it could not run."""

    planned: Planned
    outcome: Outcome
    why: str
    record: RunRecord | None = None
    stretches: tuple[Stretch, ...] = ()
    capacity: Capacity | None = None


def run_suite(suite: Suite, progress: Progress, *, conducted: Conduct | None = None) -> tuple[Ran, ...]:
    """Run everything in order and return what came of it; Ctrl-C ends it after the run that it ended."""
    conduct_one = conducted or (lambda planned, told: conduct(planned.scenario, planned.options, told))
    done: list[Ran] = []
    for number, planned in enumerate(suite.runs, 1):
        progress.line(f"\n== {number} of {len(suite.runs)}  {title(planned)}")
        try:
            ran, ended = _run(planned, progress, conduct_one), False
        except (Interrupted, KeyboardInterrupt) as error:
            ran, ended = _could_not_run(planned, str(error) or "interrupted"), True
        done.append(ran)
        progress.still()
        progress.line(f"{ran.outcome}: {visible(ran.why)}")
        if ended or (ran.record is not None and ran.record.meta.interrupted):
            break
    return tuple(done)


def _run(planned: Planned, progress: Progress, conduct_one: Conduct) -> Ran:
    """Run and judge one; raises Interrupted."""
    try:
        record = conduct_one(planned, progress)
    except Interrupted:
        raise
    except (CouldNotRun, ChaosError, OSError) as error:
        return _could_not_run(planned, str(error))
    return judged(planned, record)


def _could_not_run(planned: Planned, why: str) -> Ran:
    return Ran(planned=planned, outcome=Outcome.INCONCLUSIVE, why=f"could not run: {why}")


def title(planned: Planned) -> str:
    """Return a run's name in the suite."""
    profile = planned.scenario.fleet.profile
    return f"{planned.name}: {planned.scenario.name}, {profile}, {planned.load.name}"


def judged(planned: Planned, record: RunRecord) -> Ran:
    """Return a finished run with its stretches, and its capacity if one is asked for."""
    verdict, why = record.judgement.verdict, record.judgement.why
    try:
        parts = stretches(Evidence(record.evidence))
    except (EvidenceMissing, OSError, ValueError, KeyError) as error:
        return Ran(planned=planned, outcome=worse(verdict), why=f"{why}; no stretches: {error}", record=record)
    ran = Ran(planned=planned, outcome=verdict, why=why, record=record, stretches=parts)
    if planned.capacity is None:
        return ran
    found = capacity(parts, planned.capacity.until, of=planned.capacity.of, tills=len(record.meta.fleet.tills))
    if found is None:
        return replace(ran, outcome=worse(verdict), why=f"too few receipts to tell a capacity; {why}")
    found = replace(found, ran_out=_ran_out(record, found))
    outcome, why = _of_capacity(planned.capacity, record, found)
    return replace(ran, outcome=outcome, why=why, capacity=found)


def worse(verdict: Outcome) -> Outcome:
    """Return INCONCLUSIVE unless it is NO-GO already."""
    return Outcome.NO_GO if verdict is Outcome.NO_GO else Outcome.INCONCLUSIVE


def _of_capacity(planned: CapacityPlan, record: RunRecord, found: Capacity) -> tuple[Outcome, str]:
    """A ramp is meant to reach a limit: what counts is all that saturation does not spoil, and how far it got."""
    judgement = record.judgement
    own = {rule.figure for rule in planned.until}
    rest, why = conclusion(
        [check for check in judgement.checks if not _saturated(check)],
        [rule for rule in judgement.thresholds if rule.passed is not None or _figure(rule) not in own],
        [claim for claim in judgement.claims if claim.name not in FELT],
    )
    if rest is not Outcome.GO:
        return rest, f"{why}; {found.text}"
    if record.meta.interrupted:
        return Outcome.INCONCLUSIVE, f"the run was interrupted; {found.text}"
    reached = found.per_till_s if found.of == "till" else found.per_s
    if reached >= planned.at_least:
        return Outcome.GO, found.text
    asked = f"{found.text}; {planned.at_least:g} receipts/s were asked for"
    lab = any(text.startswith(("the machine", "the load")) for text in found.ran_out[:1])
    return (Outcome.INCONCLUSIVE if lab or found.broke is None else Outcome.NO_GO), asked


def _saturated(check: CheckResult) -> bool:
    """Whether a checker can't tell for no other reason than that the ramp reached the machine's limit."""
    if check.verdict is not Verdict.UNKNOWN:
        return False
    if check.name == experience.NAME:
        return True  # what is felt at the limit is what the capacity itself tells
    said = [row.get("what") for row in check.evidence]
    return check.name == validity.NAME and bool(said) and SATURATED.issuperset(said)


def _figure(rule: ThresholdResult) -> str | None:
    """Return the figure that a rule is about, None when the rule can't be read."""
    try:
        return parse_threshold(rule.rule).figure
    except ThresholdInvalid:
        return None


def _ran_out(record: RunRecord, found: Capacity) -> tuple[str, ...]:
    load = record.meta.load
    if found.from_s is None:
        begin_ms, end_ms = load.ended_ms - round(2000 * WINDOW_S), load.ended_ms
    else:
        begin_ms = load.started_ms + round(1000 * found.from_s)
        end_ms = begin_ms + round(3000 * WINDOW_S)
    return ran_out(Evidence(record.evidence), record.meta.machines, Span(begin_ms=begin_ms, end_ms=end_ms))


def conclude(done: tuple[Ran, ...], planned: int) -> tuple[Outcome, str]:
    """Return the suite's outcome: the worst of its runs, and which they are."""
    not_run = sum(ran.record is None for ran in done)
    also = f"; {not_run} could not run" if not_run else ""
    also += f"; interrupted after {len(done)} of {planned} runs" if len(done) < planned else ""
    for outcome in (Outcome.NO_GO, Outcome.INCONCLUSIVE):
        named = [title(ran.planned) for ran in done if ran.outcome is outcome]
        if named:
            return outcome, f"{len(named)} of {planned} runs: {'; '.join(named)}{also}"
    if len(done) < planned:
        return Outcome.INCONCLUSIVE, also.removeprefix("; ")
    return Outcome.GO, f"all {planned} runs"


def exit_code(done: tuple[Ran, ...], outcome: Outcome) -> int:
    """Return what the command ends with: without a NO-GO, a run that could not run is worst."""
    if outcome is not Outcome.NO_GO and any(ran.record is None for ran in done):
        return EXIT_COULD_NOT_RUN
    return EXIT_CODE[outcome]


def relative(record: RunRecord, folder: Path) -> str:
    """Return a run's folder as seen from the suite's."""
    return record.folder.resolve().relative_to(folder.resolve()).as_posix()
