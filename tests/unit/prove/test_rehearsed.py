"""Rows that share rehearsals: each is run once, and a row is answered by its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rehearsal.prove.abreast import Job
from rehearsal.prove.proof import parts_of
from rehearsal.prove.rehearsed import Asked, rehearsed_part
from rehearsal.prove.row import Caught, Result, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Stands for a rehearsal: leaves a line each time it is run."""

    row: Row

    def run(self, reports: Path) -> Result:
        """Leave the line."""
        reports.parent.mkdir(parents=True, exist_ok=True)
        with (reports.parent / "ran").open("a") as file:
            file.write(f"{reports.name}\n")
        return Result(row=self.row, caught=Caught.GO, note=reports.name)


def asked(name: str, *needs: str) -> Asked:
    """Return a row that tells which runs it was answered from."""
    row = Row(id=name, title="", fault="", expected="drain")
    jobs = tuple(Job(name=need, work=Counted(row=row), room=9, lasts_s=1) for need in needs)

    def answer(results: Sequence[Result]) -> Result:
        return replace(results[0], note=" ".join(result.note for result in results))

    return Asked(row=row, jobs=jobs, answer=answer)


def test_a_rehearsal_that_many_rows_need_is_run_once(tmp_path: Path) -> None:
    """Each row has the answer of its own, under its own name."""
    part = rehearsed_part([asked("R1", "one", "twin"), asked("R2", "two", "twin")], tmp_path, 1)
    found = {result.row.id: result.note for result in part.prove(part.rows)}
    assert found == {"R1": "one twin", "R2": "two twin"}
    assert sorted((tmp_path / "ran").read_text().split()) == ["one", "twin", "two"]


def test_only_what_the_wanted_rows_need_is_run(tmp_path: Path) -> None:
    """`--only R2` runs nothing of R1's."""
    part = rehearsed_part([asked("R1", "one", "twin"), asked("R2", "two")], tmp_path, 1).only(frozenset({"R2"}))
    assert [result.row.id for result in part.prove(part.rows)] == ["R2"]
    assert (tmp_path / "ran").read_text().split() == ["two"]


def test_an_answer_that_fails_is_not_run_and_costs_no_other_row_its_answer(tmp_path: Path) -> None:
    """It is never counted as caught."""

    def failing(_results: Sequence[Result]) -> Result:
        raise LookupError("no such checker")

    part = rehearsed_part([replace(asked("J1", "one"), answer=failing), asked("R1", "one")], tmp_path, 1)
    found = {result.row.id: result for result in part.prove(part.rows)}
    assert found["J1"].caught is Caught.NOT_RUN
    assert found["J1"].note == "the lab failed: LookupError: no such checker"
    assert found["R1"].caught is Caught.GO


@pytest.mark.parametrize("scenarios", [True, False])
def test_the_scenarios_are_proved_unless_left_out(tmp_path: Path, scenarios: bool) -> None:
    """The judge's rows need the run of smoke either way."""
    parts = parts_of(frozenset(), jobs=2, scenarios=scenarios, runs=tmp_path)
    rows = {row.id for part in parts for row in part.rows}
    assert {"S1", "J2", "R13"} <= rows
    assert ("go-live" in rows) is scenarios
