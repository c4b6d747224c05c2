"""Claims: what a scenario says that GO covers, and what each claim rests on.

Property kept: a claim without a checker that acquits is not covered, and what is not claimed is named.
"""

from __future__ import annotations

from collections.abc import Mapping

from rehearsal.checkers.case import Case
from rehearsal.checkers.history import RECEIPT_KINDS
from rehearsal.checkers.windows import Windows
from rehearsal.model import CheckResult, Claim, Verdict
from rehearsal.plan.scenario import CLAIMS

# What a claim rests on, where it is not the checker of its own name.
RESTS_ON: dict[str, tuple[str, ...]] = {
    "offline": ("receipts", "settlement", "drain"),
    "hardware": ("experience",),
}
WORST_FIRST = (Verdict.INVALID, Verdict.UNKNOWN, Verdict.VALID)
CUTTING = frozenset({"cut", "black_hole", "unplug"})
Results = Mapping[str, CheckResult]


def checkers_of(claim: str) -> tuple[str, ...]:
    """Return the checkers that a claim rests on."""
    return RESTS_ON.get(claim, (claim,))


def claims_of(case: Case, results: Results) -> tuple[Claim, ...]:
    """Return every claim there is: whether this scenario makes it, and what came of it."""
    return tuple(_claim(name, case, results) for name in CLAIMS)


def _claim(name: str, case: Case, results: Results) -> Claim:
    if case.meta.claims and name not in case.meta.claims:
        return Claim(name=name, claimed=False, why="this scenario does not claim it")
    if name == "hardware" and (why := _no_hardware(case)):
        return Claim(name=name, claimed=False, why=f"not judged: {why}")
    rests = checkers_of(name)
    found = [results[check].verdict if check in results else Verdict.UNKNOWN for check in rests]
    verdict = next((one for one in WORST_FIRST if one in found), Verdict.UNKNOWN)
    why = f"rests on {', '.join(rests)}"
    if name not in results and name not in RESTS_ON:
        why = "no checker of this lab judges it"
    if name == "offline" and verdict is Verdict.VALID and not (sold := _sold_offline(case)):
        return Claim(name=name, claimed=True, why="no till sold while it was cut off", verdict=Verdict.UNKNOWN)
    if name == "offline" and verdict is Verdict.VALID:
        why = f"{sold} receipts were made while their till was cut off; {why}"
    return Claim(name=name, claimed=True, why=why, verdict=verdict)


def _no_hardware(case: Case) -> str:
    """Return why the profile's limits can't be judged; empty when they were enforced on every till."""
    fleet = case.meta.fleet
    if not fleet.caps_enforced:
        return f"limits of memory and CPU are not enforced here ({fleet.caps_how})"
    capped = {machine.node for machine in case.meta.machines if machine.capped}
    free = sorted(set(fleet.tills) - capped)
    return f"no limits recorded for {', '.join(free)}" if free else ""


def _sold_offline(case: Case) -> int:
    """Return how many receipts were ok on a till while a fault that bit cut its link."""
    windows = Windows(case.meta)
    spans = [(fault, begin, end) for fault, begin, end in windows.spans if fault.kind in CUTTING and fault.bit]
    return sum(
        attempt.f in RECEIPT_KINDS
        and attempt.result == "ok"
        and any(
            begin <= attempt.at_ms <= end and windows.touches(fault, attempt.till) for fault, begin, end in spans
        )
        for attempt in case.history.attempts
    )
