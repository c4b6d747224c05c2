from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rehearsal.conduct import Interrupted
from rehearsal.matrix import run_matrix, variants, worst
from rehearsal.model import Machine, RunRecord, StageRecord
from rehearsal.options import SCENARIOS, Options
from rehearsal.plan.scenario import Scenario
from rehearsal.progress import Progress
from rehearsal.report.side_by_side import as_page, as_text, column
from tests.unit.report.samples import sample


def test_the_table_has_a_column_for_each_run_and_dashes_for_what_was_not_measured(tmp_path: Path) -> None:
    """A run that could not be made is told, not left out."""
    record = sample(tmp_path, "go")
    till = record.meta.fleet.tills[0]
    stages = (
        StageRecord(name="a", title="", started_s=0, ended_s=9, detail="masters equal on 10 tills after 3.2 s"),
        StageRecord(
            name="b", title="", started_s=0, ended_s=9, detail="backlog of 2 tills on the server after 1.5 s"
        ),
    )
    machines = (Machine(node=till, capped=True, periods=200, throttled_periods=50),)
    judged = replace(record.judgement, figures={"sale.p50": 12.0, "sale.p99": 80.0})
    full = replace(record, meta=replace(record.meta, stages=stages, machines=machines), judgement=judged)
    columns = [column("lab-3g-2.40", full), column("site-1g-1.80", None, "no room")]
    text = as_text(columns)
    rows = {line[:16].strip(): line[16:].split("  ") for line in text.splitlines()}
    assert "3.2 s" in text
    assert "1.5 s" in text
    assert "25.0 %" in text
    assert "12 ms" in text
    assert "could not run" in rows["verdict"][-1] or "could not run" in text
    assert text.count("\N{EN DASH}") >= 7
    page = as_page("go-live on 2 profiles", columns)
    assert "no room" in page
    assert f"../{full.run_id}/report.html" in page


def test_the_worst_run_decides_the_exit_code(tmp_path: Path) -> None:
    """A GO needs every run's."""
    go, no_go = sample(tmp_path / "a", "go"), sample(tmp_path / "b", "no-go")
    assert worst([column("a", go)]) == 0
    assert worst([column("a", go), column("b", no_go)]) == 10
    assert worst([column("a", go), column("b", None)]) == 30
    assert worst([column("a", no_go), column("b", None)]) == 10


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (KeyboardInterrupt(), 30), (Interrupted("interrupted while the shop was being staged"), 30),
        ("interrupted", 20),
    ],
)  # fmt: skip
def test_ctrl_c_ends_a_matrix_with_what_has_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: BaseException | str, code: int
) -> None:
    """While a shop is staged, sells or settles: no other run starts, and the table is written."""
    calls = iter(["go", ending])

    def conducted(scenario: Scenario, options: Options, progress: Progress) -> RunRecord:
        given = next(calls)
        if isinstance(given, BaseException):
            raise given
        return sample(tmp_path / given, given)

    monkeypatch.setattr("rehearsal.matrix.conduct", conducted)
    options = Options(scenario="smoke", reports=tmp_path)
    assert run_matrix(SCENARIOS / "smoke.toml", options, "profiles") == code
    (page,) = tmp_path.glob("*-matrix-smoke/matrix.html")
    assert "smoke on 2 profiles" in page.read_text()


def test_variants_change_one_thing_only() -> None:
    """The profile, or the tills' database."""
    asked = Options(scenario="smoke", values=(("load.rate", "2"),))
    assert [one.profile for one in variants("profiles", asked).values()] == [
        "lab-3g-2.40", "lab-1g-2.40", "site-1g-1.80",
    ]  # fmt: skip
    assert [one.values[-1] for one in variants("databases", asked).values()] == [
        ("fleet.till_database", "sqlite"),
        ("fleet.till_database", "postgresql"),
    ]
