"""One bug in real processes, from the launcher to the conviction."""

from __future__ import annotations

from pathlib import Path

from rehearsal.model import Outcome
from rehearsal.prove.judging import is_withheld, without_line
from rehearsal.prove.launcher import plant_in
from rehearsal.prove.planted import planted_of
from rehearsal.prove.processes import SCENARIOS, convicting, run_quietly
from tests.e2e.conftest import Finished

KILLS_MAX = 3


def test_a_till_that_answers_before_it_stores_is_convicted_by_receipts(tmp_path: Path) -> None:
    """R2: a cashier saw the receipt, the till was killed, and it is nowhere.

    A kill must fall between an answer and its late commit; on a machine that is too busy it may fall into a sale.
    """
    bug = planted_of("R2")
    told = []
    for attempt in range(KILLS_MAX):
        reports = tmp_path / str(attempt)
        judgement = run_quietly(SCENARIOS / f"{bug.scenario}.toml", reports, rewrite=plant_in(bug)).judgement
        told.append(judgement.why)
        if bug.expected in convicting(judgement):
            assert judgement.verdict is Outcome.NO_GO
            return
    raise AssertionError(told)


def test_a_removed_history_line_takes_the_go_away(smoke: Finished) -> None:
    """J2: first, middle and last line; sealed as if they had never been written."""
    assert smoke.folder is not None, smoke.output
    evidence = smoke.folder / "evidence"
    lines = (evidence / "history.jsonl").read_bytes().splitlines(keepends=True)
    for at in (0, len(lines) // 2, len(lines) - 1):
        assert without_line(evidence, lines, at).verdict is Outcome.INCONCLUSIVE


def test_a_checker_that_raises_is_unknown_and_no_acquittal(smoke: Finished) -> None:
    """J4, for two of them."""
    assert smoke.folder is not None, smoke.output
    for name in ("receipts", "validity"):
        assert is_withheld(smoke.folder / "evidence", name)
