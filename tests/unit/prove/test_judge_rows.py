"""What a lossy reading of a till looks like to the self-test, and the row of the proof that uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.evidence.selftest import lossy
from rehearsal.evidence.tables import TILL
from rehearsal.prove.judging import judge_part
from rehearsal.prove.row import Caught
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


def test_the_row_of_lossy_views_is_caught(tmp_path: Path) -> None:
    """J3 needs no run."""
    part = judge_part(tmp_path).only(frozenset({"J3"}))
    (result,) = part.prove(part.rows)
    assert result.caught is Caught.CAUGHT, result
