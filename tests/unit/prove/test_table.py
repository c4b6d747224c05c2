"""The proof's table: what counts as caught, what is written, and the exit code."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from rehearsal.cli import tillproof
from rehearsal.progress import Progress
from rehearsal.prove.proof import prove_all
from rehearsal.prove.row import Caught, Part, Result, Row, exit_code, judged

ROWS = tuple(Row(id=f"S{n}", title="a bug", fault="cut", expected="receipts") for n in (1, 2, 3))


def result(caught: Caught, row: Row = ROWS[0]) -> Result:
    """Return a result of a kind."""
    return Result(row=row, caught=caught, convicted=("receipts",), seed=4)


def proved(part: Part, folder: Path) -> int:
    """Prove one part into a folder below this one."""
    return prove_all(
        [part], Progress(io.StringIO()), folder=folder / "proof", begun=datetime.now(UTC), commit="abc"
    )


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        ([Caught.CAUGHT], 0),
        ([Caught.CAUGHT, Caught.UNTOLD], 20),
        ([Caught.UNTOLD, Caught.NOT_RUN], 30),
        ([Caught.NOT_RUN, Caught.WRONG], 10),
        ([Caught.ESCAPED, Caught.CAUGHT], 10),
        ([], 30),
    ],
)
def test_the_worst_row_decides_the_exit_code(kinds: list[Caught], code: int) -> None:
    """An escape counts more than a row that did not run, and nothing proved is no success."""
    assert exit_code(result(kind) for kind in kinds) == code


def test_only_the_expected_checker_catches() -> None:
    """Another one's conviction is a wrong answer, none at all an escape."""
    assert judged("receipts", ("chain", "receipts")) is Caught.CAUGHT
    assert judged("receipts", ("chain",)) is Caught.WRONG
    assert judged("receipts", ()) is Caught.ESCAPED


def test_every_result_is_printed_and_written(tmp_path: Path) -> None:
    """As text and as JSON, with the same verdicts, and reached through latest-proof."""
    out = io.StringIO()
    part = Part(name="some", rows=ROWS, prove=lambda rows: [result(Caught.CAUGHT, row) for row in rows])
    assert prove_all([part], Progress(out), folder=tmp_path / "proof", begun=datetime.now(UTC), commit="abc") == 0
    whole = json.loads((tmp_path / "latest-proof" / "prove.json").read_text())
    assert [(row["id"], row["verdict"]) for row in whole["rows"]] == [(row.id, "caught") for row in ROWS]
    assert whole["exit_code"] == 0
    text = (tmp_path / "latest-proof" / "prove.txt").read_text()
    assert all(row.id in text and row.id in out.getvalue() for row in ROWS)


@pytest.mark.parametrize(("kind", "code"), [(Caught.CAUGHT, 30), (Caught.ESCAPED, 10)])
def test_a_table_that_can_not_be_kept_is_told(tmp_path: Path, kind: Caught, code: int) -> None:
    """In a line, after all rows were shown; a bug that escaped did so."""
    (tmp_path / "proof").touch()
    out = io.StringIO()
    part = Part(name="some", rows=ROWS, prove=lambda rows: [result(kind, row) for row in rows])
    proved = prove_all([part], Progress(out), folder=tmp_path / "proof", begun=datetime.now(UTC), commit="abc")
    assert proved == code
    assert "could not write the table: [Errno 17]" in out.getvalue()


def test_a_link_that_can_not_be_made_costs_no_verdict(tmp_path: Path) -> None:
    """Somebody made a folder of that name; nothing is left beside it."""
    (tmp_path / "latest-proof").mkdir()
    out = io.StringIO()
    part = Part(name="some", rows=ROWS, prove=lambda rows: [result(Caught.CAUGHT, row) for row in rows])
    assert prove_all([part], Progress(out), folder=tmp_path / "proof", begun=datetime.now(UTC), commit="abc") == 0
    assert "latest-proof does not lead to it: Is a directory" in out.getvalue()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest-proof", "proof"]


def test_what_was_interrupted_is_not_run(tmp_path: Path) -> None:
    """Ctrl-C leaves the rest of the table as "not run", never as caught."""

    def interrupted(rows: tuple[Row, ...]) -> list[Result]:
        raise KeyboardInterrupt

    part = Part(name="some", rows=ROWS, prove=interrupted)
    code = prove_all(
        [part], Progress(io.StringIO()), folder=tmp_path / "proof", begun=datetime.now(UTC), commit="abc"
    )
    whole = json.loads((tmp_path / "latest-proof" / "prove.json").read_text())
    assert code == 30
    assert {row["verdict"] for row in whole["rows"]} == {"not run"}


def test_a_lab_that_breaks_leaves_its_rows_not_run_and_proves_the_others(tmp_path: Path) -> None:
    """And says how it broke; nothing of it counts as caught."""

    def broken(rows: tuple[Row, ...]) -> Iterator[Result]:
        yield result(Caught.CAUGHT, rows[0])
        raise LookupError("no such port")

    parts = [
        Part(name="broken", rows=ROWS[:2], prove=broken),
        Part(name="some", rows=ROWS[2:], prove=lambda rows: [result(Caught.CAUGHT, row) for row in rows]),
    ]
    code = prove_all(
        parts, Progress(io.StringIO()), folder=tmp_path / "proof", begun=datetime.now(UTC), commit="abc"
    )
    rows = json.loads((tmp_path / "latest-proof" / "prove.json").read_text())["rows"]
    assert code == 30
    assert [row["verdict"] for row in rows] == ["caught", "not run", "caught"]
    assert "no such port" in rows[1]["note"]


def test_an_unknown_row_is_refused_with_those_there_are() -> None:
    """`--only` with a row that is not there is wrong usage, and nothing is proved."""
    ran = CliRunner().invoke(tillproof, ["prove", "--only", "S7,S77"])
    assert ran.exit_code == 2
    assert "there is no S77" in ran.output
    assert "S40" in ran.output


def test_two_simulated_rows_are_caught_from_the_command_line(tmp_path: Path) -> None:
    """By the checkers that must convict them, with the seeds that repeat it."""
    given = ["prove", "--only", "S1,S17", "--without-scenarios", "--jobs", "1", "--reports", str(tmp_path)]
    ran = CliRunner().invoke(tillproof, given)
    assert ran.exit_code == 0, ran.output
    rows = json.loads((tmp_path / "latest-proof" / "prove.json").read_text())["rows"]
    assert {row["id"]: row["verdict"] for row in rows} == {"S1": "caught", "S17": "caught"}
    assert all(row["expected"] in row["convicted"] and row["seed"] is not None for row in rows)
