"""The J rows: faults of the laboratory itself, after which the judge must withhold its verdict.

Keeps: J2 and J4 begin with evidence that is judged GO, so it is their own fault that takes the GO away. J1 and J5
come from one real run whose cut does nothing and whose heal restarts a till; the judge must name both.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from chaos.faults.cut import Cut
from chaos.fleet.links import Link
from rehearsal import conduct as conducting
from rehearsal import judge as judging
from rehearsal.checkers.case import Case
from rehearsal.claims import checkers_of
from rehearsal.evidence.export import seal
from rehearsal.evidence.selftest import lossy
from rehearsal.evidence.tables import TILL
from rehearsal.model import CheckResult, Judgement, Meta, Outcome, Verdict
from rehearsal.options import SCENARIOS
from rehearsal.prove.bundled import bundled_job
from rehearsal.prove.processes import Clean, job_of
from rehearsal.prove.rehearsed import Asked
from rehearsal.prove.row import Caught, Result, Row
from rehearsal.prove.till_file import till_file
from rehearsal.settle import settling

ROWS = (
    Row(id="J1", title="a fault does nothing", fault="a cut that cuts nothing", expected="validity"),
    Row(id="J2", title="a history line removed", fault="line lost", expected="INCONCLUSIVE"),
    Row(id="J3", title="view with DISTINCT or a lossy join", fault="adapter's SQL", expected="self-test"),
    Row(id="J4", title="a checker raises", fault="bug in a checker", expected="UNKNOWN"),
    Row(id="J5", title="heal restarts the tills", fault="a helping lab", expected="validity"),
)
SCENARIO = "smoke"
PATH = SCENARIOS / f"{SCENARIO}.toml"
NEED_GO = frozenset({"J2", "J4"})
LINES = 20
HOLE = "history has a hole"
HELPED = "T01"
LOSSY = {
    "DISTINCT": {"receipts": ("SELECT (SELECT", "SELECT DISTINCT (SELECT")},
    "lossy join": {"receipts": ("FROM receipt ", "FROM receipt JOIN payment USING (incarnation, seq) ")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Helped:
    """A run whose cut does nothing and whose heal restarts a till: it can't be GO, and is not asked again."""

    row: Row
    path: Path

    def run(self, reports: Path) -> Result:
        """Run it: the lab is broken in this process alone."""

        def helping(run: Any, shop: Any, *more: Any) -> None:
            shop.fleet.restart(HELPED)
            settling.settle(run, shop, *more)

        def nothing(_fault: Cut, _link: Link) -> None:
            return None

        with patch.object(conducting, "settle", helping), patch.object(Cut, "impose", nothing):
            result = Clean(row=self.row, path=self.path).run(reports)
        return replace(result, caught=Caught.NOT_GO) if result.caught is Caught.UNTOLD else result


def judge_rows() -> list[Asked]:
    """Return the J rows. J2 and J4 share the run of a bundled scenario, J1 and J5 one by a broken laboratory."""
    answers: dict[str, Callable[[Row, Result], Result]] = {
        "J1": partial(_withheld, finding="a fault did not bite"),
        "J2": _line_removed,
        "J4": _checker_raises,
        "J5": partial(_withheld, finding="a node was started more often than its faults explain"),
    }
    asked = []
    for row in ROWS:
        if row.id not in answers:
            asked.append(Asked(row=row, jobs=(), answer=partial(_lossy_views, row)))
            continue
        job = bundled_job(SCENARIO, row) if row.id in NEED_GO else job_of("helped", Helped(row=row, path=PATH))
        asked.append(Asked(row=row, jobs=(job,), answer=partial(_of_run, row, answers[row.id])))
    return asked


def _of_run(row: Row, answer: Callable[[Row, Result], Result], results: Sequence[Result]) -> Result:
    """Answer a row from its run, unless that could not be run, or was not GO where it must be."""
    (ran,) = results
    if ran.caught is Caught.NOT_RUN:
        return ran
    if row.id in NEED_GO and ran.caught is not Caught.GO:
        return replace(ran, caught=Caught.UNTOLD, note=f"{SCENARIO} was not GO to begin with: {ran.note}")
    return replace(answer(row, ran), seed=ran.seed, seconds=ran.seconds, ran=ran.ran)


def _withheld(row: Row, ran: Result, *, finding: str) -> Result:
    """The judge did not say GO, and validity named the lab's fault."""
    judgement = judging.judge(Path(ran.ran) / "evidence")
    validity = next(check for check in judgement.checks if check.name == "validity")
    named = [found for found in validity.evidence if found.get("what") == finding]
    doubted = validity.verdict is Verdict.UNKNOWN and judgement.verdict is Outcome.INCONCLUSIVE
    return Result(
        row=row,
        caught=Caught.CAUGHT if named and doubted else Caught.ESCAPED,
        convicted=(f"validity {validity.verdict}",) if named else (),
        note=", ".join(f"{key}={value}" for key, value in named[0].items()) if named else validity.detail,
    )


def _line_removed(row: Row, ran: Result) -> Result:
    """Each of some lines, removed by itself, takes the GO away for the hole it leaves, and convicts nobody."""
    evidence = Path(ran.ran) / "evidence"
    lines = (evidence / "history.jsonl").read_bytes().splitlines(keepends=True)
    judged = [without_line(evidence, lines, at) for at in range(0, len(lines), max(1, len(lines) // LINES))]
    verdicts = [one.verdict for one in judged]
    wrong = [verdict for verdict in verdicts if verdict is not Outcome.INCONCLUSIVE]
    unseen = sum(not _names_a_hole(one) for one in judged)
    caught = Caught.CAUGHT
    if wrong or unseen:
        caught = Caught.ESCAPED if Outcome.GO in wrong or unseen else Caught.WRONG
    return Result(
        row=row,
        caught=caught,
        convicted=(str(Outcome.INCONCLUSIVE),) if not wrong else tuple(sorted(map(str, set(wrong)))),
        note=f"{len(verdicts) - len(wrong)} of {len(verdicts)} removed lines make it INCONCLUSIVE"
        + f", {unseen} without a word of the hole" * bool(unseen),
    )


def _names_a_hole(judgement: Judgement) -> bool:
    found = [row.get("what") for check in judgement.checks if check.name == "validity" for row in check.evidence]
    return HOLE in found


def without_line(evidence: Path, lines: list[bytes], at: int) -> Judgement:
    """Judge a copy of some evidence without one line of history, sealed as if it had been recorded so."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "evidence"
        shutil.copytree(evidence, copy)
        (copy / "history.jsonl").write_bytes(b"".join(lines[:at] + lines[at + 1 :]))
        seal(copy, Meta.load_from(copy / "meta.json"))
        return judging.judge(copy)


def _lossy_views(row: Row, _no_runs: Sequence[Result]) -> Result:
    """The self-test refuses each lossy view, and passes the statements that are shipped."""
    with tempfile.TemporaryDirectory() as folder:
        database = till_file(Path(folder) / "till.db")
        innocent = lossy(database)
        refused = {}
        for name, changes in LOSSY.items():
            views = dict(TILL)
            for file, (before, after) in changes.items():
                assert before in views[file]
                views[file] = views[file].replace(before, after, 1)
            refused[name] = lossy(database, views)
    escaped = [name for name, problems in refused.items() if not problems]
    caught = Caught.CAUGHT if not escaped else Caught.ESCAPED
    return Result(
        row=row,
        caught=Caught.WRONG if innocent else caught,
        convicted=("self-test",) if not escaped else (),
        note="; ".join(innocent or [f"{name}: {problems[0]}" for name, problems in refused.items() if problems]),
    )


def _checker_raises(row: Row, ran: Result) -> Result:
    """Whichever checker raises of those that the GO rests on, it is UNKNOWN, and the run is not GO."""
    evidence = Path(ran.ran) / "evidence"
    claims = judging.judge(evidence).claims
    needed = sorted({"validity"}.union(*(checkers_of(one.name) for one in claims if one.claimed)))
    escaped = [name for name in needed if not is_withheld(evidence, name)]
    return Result(
        row=row,
        caught=Caught.ESCAPED if escaped else Caught.CAUGHT,
        convicted=() if escaped else ("UNKNOWN",),
        note=f"escaped: {', '.join(escaped)}" if escaped else f"each of {len(needed)}: {', '.join(needed)}",
    )


def is_withheld(evidence: Path, name: str) -> bool:
    """Judge with one checker that raises; return whether it is UNKNOWN and the run not GO."""

    def raising(_case: Case) -> CheckResult:
        raise RuntimeError("planted")

    with patch.dict(judging.CHECKERS, {name: raising}):
        judgement = judging.judge(evidence)
    verdicts = {check.name: check.verdict for check in judgement.checks}
    return verdicts.get(name, Verdict.UNKNOWN) is Verdict.UNKNOWN and judgement.verdict is Outcome.INCONCLUSIVE
