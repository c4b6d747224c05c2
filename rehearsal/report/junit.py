"""junit.xml: the run for a CI server's test page.

What was not disproved but not shown either is an error, never a pass and never skipped: a pipeline that only
looks for red must see an INCONCLUSIVE run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as Xml

from rehearsal.model import Outcome, Verdict
from rehearsal.report.text import visible, xml
from rehearsal.report.verdict import CheckEntry, VerdictFile

State = Literal["passed", "failure", "error"]
_OF_VERDICT: dict[Verdict, State] = {
    Verdict.VALID: "passed",
    Verdict.INVALID: "failure",
    Verdict.UNKNOWN: "error",
}
_OF_OUTCOME: dict[Outcome, State] = {
    Outcome.GO: "passed",
    Outcome.NO_GO: "failure",
    Outcome.INCONCLUSIVE: "error",
}
_OF_PASSED: dict[bool | None, State] = {True: "passed", False: "failure", None: "error"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the test page."""

    name: str
    state: State
    message: str
    text: str = ""


def junit_xml(verdict: VerdictFile) -> str:
    """Return junit.xml's text."""
    run = f"tillproof.{verdict.scenario}"
    suites = {
        "verdict": [Case(name="verdict", state=_OF_OUTCOME[verdict.verdict], message=verdict.why)],
        "checks": [_check(check) for check in verdict.checks],
        "thresholds": [
            Case(name=limit.rule, state=_OF_PASSED[limit.passed], message=f"measured {limit.measured}")
            for limit in verdict.thresholds
        ],
        "stages": [
            Case(name=stage.name, state=_OF_PASSED[stage.passed], message=stage.detail)
            for stage in verdict.stages
            if stage.passed is not None or stage.unseen
        ],
        "faults": [
            Case(
                name=f"{n} {fault.kind} {', '.join(fault.targets)} at {fault.at_s:g} s",
                state="passed" if fault.ran and fault.bit and fault.healed is not False else "error",
                message=_fault_says(ran=fault.ran, bit=fault.bit, healed=fault.healed),
                text=f"{fault.evidence}\n{fault.heal_evidence}",
            )
            for n, fault in enumerate(verdict.faults, 1)
        ],
    }
    every = [case for cases in suites.values() for case in cases]
    root = Xml.Element("testsuites", {"name": xml(visible(run)), **_counts(every)})
    for name, cases in suites.items():
        if cases:
            root.append(_suite(f"{run}.{name}", cases, verdict.started))
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _suite(name: str, cases: list[Case], started: str) -> Xml.Element:
    facts = {"name": xml(visible(name)), "timestamp": xml(started), "skipped": "0"}
    suite = Xml.Element("testsuite", {**facts, **_counts(cases)})
    for case in cases:
        element = Xml.SubElement(
            suite, "testcase", {"classname": xml(visible(name)), "name": xml(visible(case.name))}
        )
        if case.state != "passed":
            problem = Xml.SubElement(element, case.state, {"message": xml(visible(case.message))})
            problem.text = xml(case.text or case.message)
    return suite


def _counts(cases: Iterable[Case]) -> dict[str, str]:
    states = [case.state for case in cases]
    return {
        "tests": str(len(states)),
        "failures": str(states.count("failure")),
        "errors": str(states.count("error")),
    }


def _check(check: CheckEntry) -> Case:
    rows = [", ".join(f"{name} {value}" for name, value in row.items()) for row in check.evidence]
    return Case(
        name=check.name,
        state=_OF_VERDICT[check.verdict],
        message=check.detail,
        text="\n".join([check.detail, *(visible(row) for row in rows)]),
    )


def _fault_says(*, ran: bool, bit: bool | None, healed: bool | None) -> str:
    if not ran:
        return "not run in this fleet"
    if healed is False:
        return "its end could not be read back"
    return {True: "bit", False: "did not bite", None: "no evidence that it bit"}[bit]
