"""Experience: what the cashiers felt, against the thresholds that the scenario states.

Convicts when a latency, refusal, lag, age or memory threshold does not hold, or when a till ran out of its
memory by itself. On a saturated host a failing duration can't be told from a slow machine.
"""

from __future__ import annotations

from rehearsal.checkers.case import Case
from rehearsal.checkers.findings import Findings
from rehearsal.checkers.history import RECEIPT_KINDS
from rehearsal.checkers.host import saturated
from rehearsal.measures import measure
from rehearsal.model import CheckResult
from rehearsal.plan.threshold import Threshold, ThresholdInvalid, is_duration, parse_threshold

NAME = "experience"
HOG = "memory_hog"
FELT = ("sale.", "sync.", "price.", "masters.", "memory.")
COUNT_TOLERANCE = 0.01  # customers in flight when the generator was stopped may be in one file only


def check(case: Case) -> CheckResult:
    """Judge latencies, refusals, lags and memory."""
    findings = Findings(NAME)
    figures = measure(case)
    findings.figures |= {name: value for name, value in figures.items() if name.startswith(FELT)}
    busy = saturated(case)
    for rule in case.meta.thresholds:
        try:
            threshold = parse_threshold(rule)
        except ThresholdInvalid as error:
            findings.doubt("a threshold can't be read", rule=rule, why=str(error))
            continue
        if threshold.limit is not None and threshold.figure.startswith(FELT):
            _rule(findings, threshold, figures, busy)
    _memory(findings, case)
    _same_count(findings, case)
    if not findings.checked:
        findings.doubt("the scenario states no threshold of what is felt")
    return findings.result(_told(figures))


def _rule(findings: Findings, threshold: Threshold, figures: dict[str, float], busy: str) -> None:
    measured = figures.get(threshold.figure)
    if measured is None:
        findings.doubt("not measured", rule=threshold.rule)
        return
    findings.checked += 1
    if threshold.holds(measured):
        return
    if busy and is_duration(threshold):
        findings.doubt(
            "does not hold, on a saturated host", rule=threshold.rule, measured=f"{measured:.1f}", host=busy
        )
    else:
        findings.convict("does not hold", rule=threshold.rule, measured=f"{measured:.4g}")


def _memory(findings: Findings, case: Case) -> None:
    """No till ran out of memory, but those that a fault filled; how often these may, validity counts."""
    filled = {till for fault in case.meta.faults if fault.kind == HOG and fault.ran for till in fault.targets}
    for machine in case.meta.machines:
        if machine.node in case.meta.fleet.tills and machine.oom_kills and machine.node not in filled:
            findings.convict(
                "a till ran out of memory",
                till=machine.node,
                kills=machine.oom_kills,
                limit_mib=machine.memory_limit_mib,
            )


def _same_count(findings: Findings, case: Case) -> None:
    """The latencies that were measured are those of the operations in the history."""
    if not case.evidence.has("latency.csv"):
        findings.doubt("no latencies were recorded")
        return
    measured = sum(int(row["n"] or 0) for row in case.evidence.rows("latency.csv"))
    tried = sum(
        attempt.f in RECEIPT_KINDS and not attempt.repeat and not attempt.edited and attempt.ms is not None
        for attempt in case.history.attempts
    )
    if abs(measured - tried) > max(2, COUNT_TOLERANCE * tried):
        findings.doubt("latency.csv and history count different operations", latencies=measured, operations=tried)


def _told(figures: dict[str, float]) -> str:
    p99, window = figures.get("sale.p99"), figures.get("sale.window.p99")
    if p99 is None or window is None:
        return "no sale was measured"
    return f"99 of 100 sales within {p99:.0f} ms on the worst till, {window:.0f} ms in its worst ten seconds"
