"""The judge: every checker over one evidence folder, and the verdict that follows.

Property kept: GO only when every claimed checker acquits, validity included, and every threshold was
measured and held. One contradiction is NO-GO, whoever finds it; anything that could not be told is
INCONCLUSIVE. The verdict follows from the evidence alone. A lab that left nodes behind, by its own failure to
bring them back, or lost a part of itself, convicts nobody.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec

from rehearsal.checkers import (
    chain,
    documents,
    drain,
    edits,
    experience,
    failover,
    masters,
    money,
    prices,
    receipts,
    settlement,
    stock,
    validity,
)
from rehearsal.checkers.case import Case
from rehearsal.checkers.host import saturated
from rehearsal.claims import checkers_of, claims_of
from rehearsal.evidence.reader import Evidence
from rehearsal.measures import measure
from rehearsal.model import CheckResult, Claim, Judgement, Outcome, ThresholdResult, Verdict
from rehearsal.plan.threshold import FIGURES, ThresholdInvalid, is_duration, parse_threshold
from rehearsal.report.figures import shown
from rehearsal.sales import money_line, sales_if_readable

Checker = Callable[[Case], CheckResult]
CHECKERS: dict[str, Checker] = {
    module.NAME: module.check
    for module in (
        receipts,
        money,
        settlement,
        masters,
        documents,
        edits,
        prices,
        stock,
        chain,
        drain,
        experience,
        failover,
        validity,
    )
}
ALWAYS = frozenset({"validity"})


def judge(folder: Path) -> Judgement:
    """Return the judgement on an evidence folder (or on a report folder that holds one)."""
    below = folder / "evidence"
    case = Case(Evidence(below if below.is_dir() else folder))
    with _without_collection():
        return _judge(case)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Stop looking for cycles: the judge keeps millions of small values and makes no cycles of them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _judge(case: Case) -> Judgement:
    try:
        meta = case.meta
    except (OSError, msgspec.MsgspecError) as error:
        return Judgement(verdict=Outcome.INCONCLUSIVE, why=f"meta.json can't be read: {error}", checks=())
    results = {name: run_checker(name, checker, case) for name, checker in CHECKERS.items()}
    left = [*meta.left_behind, *(node for fault in meta.faults for node in fault.left_behind)]
    behind = ", ".join(dict.fromkeys(left))
    if behind:
        results = {name: _withheld(result, behind) for name, result in results.items()}
    claims = claims_of(case, results)
    figures = _figures(case, results)
    busy = _busy(case)
    thresholds = tuple(_threshold(rule, figures, results, busy) for rule in meta.thresholds)
    if behind:
        thresholds = tuple(_unheld(one) for one in thresholds)
    needed = ALWAYS | {name for claim in claims if claim.claimed for name in checkers_of(claim.name)}
    checks = tuple(
        result for name, result in results.items() if name in needed or result.verdict is not Verdict.UNKNOWN
    )
    sales = sales_if_readable(case)
    verdict, why = conclude(checks, thresholds, claims)
    return Judgement(
        verdict=verdict,
        why=why or money_line(sales, meta.currency, sum(fault.bit is True for fault in meta.faults)),
        checks=checks,
        thresholds=thresholds,
        sales=sales,
        claims=claims,
        figures=figures,
    )


def run_checker(name: str, checker: Checker, case: Case) -> CheckResult:
    """Run one checker; one that crashes knows nothing."""
    try:
        return checker(case)
    except Exception as error:  # noqa: BLE001 - the checker runner: a crash is UNKNOWN, never an acquittal
        return CheckResult(
            name=name,
            verdict=Verdict.UNKNOWN,
            detail=f"the checker failed: {type(error).__name__}: {error}",
            evidence=({"verdict": "UNKNOWN", "what": "the checker failed", "error": repr(error)},),
        )


def _withheld(result: CheckResult, behind: str) -> CheckResult:
    """Turn a conviction into a doubt: the lab itself kept nodes from coming back."""
    if result.verdict is not Verdict.INVALID:
        return result
    return replace(
        result,
        verdict=Verdict.UNKNOWN,
        detail=f"the lab could not bring {behind} back, so this counts against nobody: {result.detail}",
        evidence=tuple({**row, "verdict": str(Verdict.UNKNOWN)} for row in result.evidence),
    )


def _unheld(rule: ThresholdResult) -> ThresholdResult:
    return replace(rule, passed=None, measured=f"{rule.measured}, not judged") if rule.passed is False else rule


def conclude(
    checks: Sequence[CheckResult], thresholds: Sequence[ThresholdResult] = (), claims: Sequence[Claim] = ()
) -> tuple[Outcome, str]:
    """Return the outcome, the worst winning, and why (empty for GO)."""
    convicted = [check for check in checks if check.verdict is Verdict.INVALID]
    failed = [rule for rule in thresholds if rule.passed is False]
    if convicted:
        return Outcome.NO_GO, f"{convicted[0].name}: {convicted[0].detail}{_also(convicted)}"
    if failed:
        return Outcome.NO_GO, f"{failed[0].rule} does not hold: {failed[0].measured}"
    doubt = _doubt(checks, thresholds, claims)
    return (Outcome.INCONCLUSIVE, doubt) if doubt else (Outcome.GO, "")


def _doubt(checks: Sequence[CheckResult], thresholds: Sequence[ThresholdResult], claims: Sequence[Claim]) -> str:
    """Return the first thing that could not be told; empty when everything could."""
    unknown = [check for check in checks if check.verdict is Verdict.UNKNOWN]
    if unknown:
        return f"{unknown[0].name} can't be told: {unknown[0].detail}{_also(unknown)}"
    for rule in thresholds:
        if rule.passed is None:
            return f"{rule.rule} was not measured: {rule.measured}"
    for claim in claims:
        if claim.claimed and claim.verdict is not Verdict.VALID:
            return f"{claim.name} is claimed, but {claim.why}"
    return "" if any(check.verdict is Verdict.VALID for check in checks) else "nothing was checked"


def _also(checks: Sequence[CheckResult]) -> str:
    return f"; also {', '.join(check.name for check in checks[1:])}" if checks[1:] else ""


def _busy(case: Case) -> bool:
    with suppress(Exception):  # samples that can't be read: validity needs them too, and says so
        return bool(saturated(case))
    return False


def _threshold(
    rule: str, figures: dict[str, float], results: dict[str, CheckResult], busy: bool
) -> ThresholdResult:
    """Evaluate one rule; a duration missed on a saturated host stays untold, as what its checker can't tell."""
    try:
        threshold = parse_threshold(rule)
    except ThresholdInvalid as error:
        return ThresholdResult(rule=rule, measured=str(error), passed=None)
    if threshold.limit is None:
        return _exact(rule, results.get(threshold.figure))
    value = figures.get(threshold.figure)
    if value is None:
        return ThresholdResult(rule=rule, measured="not measured", passed=None)
    passed = threshold.holds(value)
    felt = threshold.figure.startswith(experience.FELT) and results["experience"].verdict is not Verdict.INVALID
    if not passed and (felt or (busy and is_duration(threshold))):
        return ThresholdResult(rule=rule, measured=f"{shown(threshold.figure, value)}, not judged", passed=None)
    return ThresholdResult(rule=rule, measured=shown(threshold.figure, value), passed=passed)


def _exact(rule: str, result: CheckResult | None) -> ThresholdResult:
    match result.verdict if result else Verdict.UNKNOWN:
        case Verdict.VALID:
            return ThresholdResult(rule=rule, measured="exact", passed=True)
        case Verdict.INVALID:
            return ThresholdResult(rule=rule, measured="differs", passed=False)
        case _:
            return ThresholdResult(rule=rule, measured="can't be told", passed=None)


def _figures(case: Case, results: dict[str, CheckResult]) -> dict[str, float]:
    """Return all figures, a check's own under its name where two have one."""
    found: dict[str, float] = {}
    for result in results.values():
        found |= {
            name if name in FIGURES or "." in name else f"{result.name}.{name}": value
            for name, value in result.figures.items()
        }
    with suppress(Exception):  # a figure that can't be had stays out, and its threshold unmeasured
        found |= measure(case)
    return found
