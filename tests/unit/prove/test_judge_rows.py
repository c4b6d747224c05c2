"""What a lossy reading of a till looks like to the self-test, and the row of the proof that uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.evidence.selftest import lossy
from rehearsal.evidence.tables import TILL
from rehearsal.model import CheckResult, Judgement, Outcome, Verdict
from rehearsal.prove import judging
from rehearsal.prove.judging import judge_rows
from rehearsal.prove.rehearsed import Asked
from rehearsal.prove.row import Caught, Result
from rehearsal.prove.till_file import till_file


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A till's file with three receipts, of which two are paid."""
    return till_file(tmp_path_factory.mktemp("till") / "till.db")


def test_the_shipped_statements_show_everything(database: Path) -> None:
    """A planted duplicate and a deletion are both seen, in each table."""
    assert lossy(database) == []


@pytest.mark.parametrize("file", ["receipts", "lines", "payments", "journal"])
def test_a_distinct_hides_a_duplicate_and_is_refused(database: Path, file: str) -> None:
    """In whichever statement it stands."""
    views = TILL | {file: TILL[file].replace("SELECT ", "SELECT DISTINCT ", 1)}
    problems = lossy(database, views)
    assert any(problem.startswith(file) and "duplicate" in problem for problem in problems)


def test_a_join_that_loses_rows_is_refused(database: Path) -> None:
    """A receipt without a payment is a receipt."""
    views = TILL | {
        "receipts": TILL["receipts"].replace("FROM receipt", "FROM receipt JOIN payment USING (incarnation, seq)")
    }
    assert any("3 rows as it is, 2 are read" in problem for problem in lossy(database, views))


def test_the_database_is_left_as_it_was(database: Path) -> None:
    """Only scratch copies are changed."""
    before = database.read_bytes()
    lossy(database)
    assert database.read_bytes() == before


def asked(name: str) -> Asked:
    """Return a row of the judge."""
    return next(one for one in judge_rows() if one.row.id == name)


def test_the_row_of_lossy_views_is_caught() -> None:
    """J3 needs no run."""
    assert not asked("J3").jobs
    result = asked("J3").answer([])
    assert result.caught is Caught.CAUGHT, result


@pytest.mark.parametrize("name", ["J1", "J2", "J4", "J5"])
def test_a_row_whose_run_could_not_be_run_is_not_run(name: str) -> None:
    """And says why; it is never caught."""
    row = asked(name)
    ran = Result(row=row.row, caught=Caught.NOT_RUN, note="no port is free")
    result = row.answer([ran])
    assert (result.caught, result.note) == (Caught.NOT_RUN, "no port is free")


@pytest.mark.parametrize(
    ("found", "caught"), [("history has a hole", Caught.CAUGHT), ("the checker failed", Caught.ESCAPED)]
)
def test_a_missing_line_has_to_be_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str, caught: Caught
) -> None:
    """A judge that withholds for another reason has not seen the hole."""
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "history.jsonl").write_text("{}\n" * 3)
    validity = CheckResult(name="validity", verdict=Verdict.UNKNOWN, detail="", evidence=({"what": found},))
    judgement = Judgement(verdict=Outcome.INCONCLUSIVE, why="", checks=(validity,))
    monkeypatch.setattr(judging, "without_line", lambda *_: judgement)
    row = asked("J2")
    result = row.answer([Result(row=row.row, caught=Caught.GO, ran=str(tmp_path))])
    assert (result.caught, "without a word" in result.note) == (caught, caught is Caught.ESCAPED)


@pytest.mark.parametrize("name", ["J2", "J4"])
def test_what_takes_a_go_away_needs_one(name: str) -> None:
    """Where the run is not GO, nothing is told of the row."""
    row = asked(name)
    result = row.answer([Result(row=row.row, caught=Caught.NOT_GO, note="a receipt is missing")])
    assert result.caught is Caught.UNTOLD
    assert "was not GO to begin with: a receipt is missing" in result.note
