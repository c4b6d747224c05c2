"""The J rows: faults of the laboratory itself, after which the judge must withhold its verdict.

Keeps: J2 and J4 begin with evidence that is judged GO, so it is their own fault that takes the GO away. J1 and J5
come from one real run whose cut does nothing and whose heal restarts a till; the judge must name both.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from chaos.errors import ChaosError
from chaos.faults.cut import Cut
from chaos.fleet.links import Link
from rehearsal import conduct as conducting
from rehearsal import judge as judging
from rehearsal.checkers.case import Case
from rehearsal.claims import checkers_of
from rehearsal.conduct import CouldNotRun
from rehearsal.evidence.export import seal
from rehearsal.evidence.selftest import lossy
from rehearsal.evidence.tables import TILL
from rehearsal.model import CheckResult, Meta, Outcome, RunRecord, Verdict
from rehearsal.options import SCENARIOS
from rehearsal.plan.loader import ScenarioInvalid
from rehearsal.prove.processes import run_quietly
from rehearsal.prove.row import Caught, Part, Result, Row
from rehearsal.prove.till_file import till_file
from rehearsal.settle import settling

ROWS = (
    Row(id="J1", title="a fault does nothing", fault="a cut that cuts nothing", expected="validity"),
    Row(id="J2", title="a history line removed", fault="line lost", expected="INCONCLUSIVE"),
    Row(id="J3", title="view with DISTINCT or a lossy join", fault="adapter's SQL", expected="self-test"),
    Row(id="J4", title="a checker raises", fault="bug in a checker", expected="UNKNOWN"),
    Row(id="J5", title="heal restarts the tills", fault="a helping lab", expected="validity"),
)
SCENARIO = SCENARIOS / "smoke.toml"
LINES = 20
HELPED = "T01"
LOSSY = {
    "DISTINCT": {"receipts": ("SELECT (SELECT", "SELECT DISTINCT (SELECT")},
    "lossy join": {"receipts": ("FROM receipt ", "FROM receipt JOIN payment USING (incarnation, seq) ")},
}


class _Runs:
    """The two runs that the rows share, each made when it is first needed."""

    def __init__(self, reports: Path) -> None:
        self._reports = reports
        self._made: dict[str, RunRecord] = {}

    def good(self) -> RunRecord:
        """Return a run as it is shipped."""
        if "good" not in self._made:
            self._made["good"] = run_quietly(SCENARIO, self._reports)
        return self._made["good"]

    def helped(self) -> RunRecord:
        """Return a run whose cut does nothing and whose heal restarts a till."""
        if "helped" not in self._made:

            def helping(run: Any, shop: Any, *more: Any) -> None:
                shop.fleet.restart(HELPED)
                settling.settle(run, shop, *more)

            def nothing(_fault: Cut, _link: Link) -> None:
                return None

            with patch.object(conducting, "settle", helping), patch.object(Cut, "impose", nothing):
                self._made["helped"] = run_quietly(SCENARIO, self._reports)
        return self._made["helped"]


def judge_part(reports: Path) -> Part:
    """Return the J rows; their runs are kept in `reports`."""
    return Part(name="judge", rows=ROWS, prove=lambda wanted: _prove(wanted, reports))


def _prove(rows: tuple[Row, ...], reports: Path) -> Iterator[Result]:
    runs = _Runs(reports)
    provers: dict[str, Callable[[Row, _Runs], Result]] = {
        "J1": lambda row, runs: _withheld(row, runs, "a fault did not bite"),
        "J2": _line_removed,
        "J3": _lossy_views,
        "J4": _checker_raises,
        "J5": lambda row, runs: _withheld(row, runs, "a node was started more often than its faults explain"),
    }
    for row in rows:
        started = time.monotonic()
        try:
            result = provers[row.id](row, runs)
        except (CouldNotRun, ScenarioInvalid, ChaosError, OSError) as error:
            result = Result(row=row, caught=Caught.NOT_RUN, note=str(error))
        yield _timed(result, time.monotonic() - started)


def _timed(result: Result, seconds: float) -> Result:
    return Result(
        row=result.row, caught=result.caught, convicted=result.convicted, seed=result.seed, seconds=seconds,
        note=result.note, ran=result.ran,
    )  # fmt: skip


def _withheld(row: Row, runs: _Runs, finding: str) -> Result:
    """The judge did not say GO, and validity named the lab's fault."""
    record = runs.helped()
    validity = next(check for check in record.judgement.checks if check.name == "validity")
    named = [found for found in validity.evidence if found.get("what") == finding]
    doubted = validity.verdict is Verdict.UNKNOWN and record.judgement.verdict is Outcome.INCONCLUSIVE
    return Result(
        row=row,
        caught=Caught.CAUGHT if named and doubted else Caught.ESCAPED,
        convicted=(f"validity {validity.verdict}",) if named else (),
        seed=record.meta.seed,
        note=", ".join(f"{key}={value}" for key, value in named[0].items()) if named else validity.detail,
        ran=str(record.folder),
    )


def _line_removed(row: Row, runs: _Runs) -> Result:
    """Each of some lines, removed by itself, takes the GO away and gives no conviction."""
    record = runs.good()
    if record.judgement.verdict is not Outcome.GO:
        return _no_ground(row, record)
    evidence = record.folder / "evidence"
    lines = (evidence / "history.jsonl").read_bytes().splitlines(keepends=True)
    verdicts = [without_line(evidence, lines, at) for at in range(0, len(lines), max(1, len(lines) // LINES))]
    wrong = [verdict for verdict in verdicts if verdict is not Outcome.INCONCLUSIVE]
    caught = Caught.CAUGHT
    if wrong:
        caught = Caught.ESCAPED if Outcome.GO in wrong else Caught.WRONG
    return Result(
        row=row,
        caught=caught,
        convicted=(str(Outcome.INCONCLUSIVE),) if not wrong else tuple(sorted(map(str, set(wrong)))),
        seed=record.meta.seed,
        note=f"{len(verdicts) - len(wrong)} of {len(verdicts)} removed lines make it INCONCLUSIVE",
        ran=str(record.folder),
    )


def without_line(evidence: Path, lines: list[bytes], at: int) -> Outcome:
    """Judge a copy of some evidence without one line of history, sealed as if it had been recorded so."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "evidence"
        shutil.copytree(evidence, copy)
        (copy / "history.jsonl").write_bytes(b"".join(lines[:at] + lines[at + 1 :]))
        seal(copy, Meta.load_from(copy / "meta.json"))
        return judging.judge(copy).verdict


def _lossy_views(row: Row, _runs: _Runs) -> Result:
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


def _checker_raises(row: Row, runs: _Runs) -> Result:
    """Whichever checker raises of those that the GO rests on, it is UNKNOWN, and the run is not GO."""
    record = runs.good()
    if record.judgement.verdict is not Outcome.GO:
        return _no_ground(row, record)
    needed = sorted({"validity"}.union(*(checkers_of(one.name) for one in record.judgement.claims if one.claimed)))
    escaped = [name for name in needed if not is_withheld(record.folder / "evidence", name)]
    return Result(
        row=row,
        caught=Caught.ESCAPED if escaped else Caught.CAUGHT,
        convicted=() if escaped else ("UNKNOWN",),
        seed=record.meta.seed,
        note=f"escaped: {', '.join(escaped)}" if escaped else f"each of {len(needed)}: {', '.join(needed)}",
        ran=str(record.folder),
    )


def is_withheld(evidence: Path, name: str) -> bool:
    """Judge with one checker that raises; return whether it is UNKNOWN and the run not GO."""

    def raising(_case: Case) -> CheckResult:
        raise RuntimeError("planted")

    with patch.dict(judging.CHECKERS, {name: raising}):
        judgement = judging.judge(evidence)
    verdicts = {check.name: check.verdict for check in judgement.checks}
    return verdicts.get(name, Verdict.UNKNOWN) is Verdict.UNKNOWN and judgement.verdict is Outcome.INCONCLUSIVE


def _no_ground(row: Row, record: RunRecord) -> Result:
    note = f"{SCENARIO.stem} was not GO to begin with: {record.judgement.why}"
    return Result(row=row, caught=Caught.UNTOLD, note=note, seed=record.meta.seed, ran=str(record.folder))
