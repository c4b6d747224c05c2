"""`tillproof diff`: it names what changed, and does not let another machine pass for a change of the software."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from rehearsal.cli import tillproof
from rehearsal.report.diff import ABSENT, as_text, compare, difference
from rehearsal.report.diff_html import diff_html
from rehearsal.report.verdict import VerdictUnreadable, verdict_of
from rehearsal.report.write import write_report
from tests.unit.report.samples import sample


def test_two_equal_runs_have_no_difference(tmp_path: Path) -> None:
    """Nothing is invented."""
    verdict = verdict_of(sample(tmp_path, "go"))
    found = difference(verdict, verdict)
    assert not [row for section in found.sections for row in section.changes]
    assert found.same_environment
    assert "environments differ" not in as_text(found)


def test_stages_of_one_title_are_told_apart(tmp_path: Path) -> None:
    """Only their names are unique: neither hides the other."""
    made = sample(tmp_path, "go")
    alike = [replace(stage, title="All sell", passed=True) for stage in made.meta.stages[:2]]
    worse = [replace(alike[0], passed=False), alike[1]]
    a, b = (verdict_of(replace(made, meta=replace(made.meta, stages=tuple(one)))) for one in (alike, worse))
    (found,) = [section for section in difference(a, b).sections if section.title == "Stages"]
    assert [row.what for row in found.rows] == ["parity", "pilot"]
    assert [(row.what, row.a, row.b) for row in found.changes] == [("parity", "passed", "not passed")]


def test_a_go_and_a_no_go_differ_in_checks_thresholds_and_money(tmp_path: Path) -> None:
    """Reports on disk: the check that failed is named with both answers."""
    write_report(sample(tmp_path / "a", "go"))
    write_report(sample(tmp_path / "b", "no-go"))
    found = compare(tmp_path / "a", tmp_path / "b" / "verdict.json")
    changed = {section.title: {row.what: (row.a, row.b) for row in section.changes} for section in found.sections}
    assert changed["Checks"]["receipts"] == ("VALID", "INVALID (41 findings)")
    assert changed["Thresholds"]["sale.p99 <= 250ms"] == ("kept, 38.2 ms", "missed, 2,310 ms")
    assert changed["Outcome"]["gross, server"] == ("15,482.10", "15,255.62")
    text = as_text(found)
    assert "INVALID (41 findings)" in text
    assert "INVALID (41 findings)" in diff_html(found)


def test_a_figure_is_compared_with_its_change_and_a_missing_one_is_absent(tmp_path: Path) -> None:
    """A figure that one run lacks is shown as absent, never left out."""
    record = sample(tmp_path, "go")
    a = verdict_of(record)
    figures = {**record.judgement.figures, "sale.p99": 57.3}
    del figures["price.lag.p99"]
    b = verdict_of(replace(record, judgement=replace(record.judgement, figures=figures)))
    rows = {row.what: row for s in difference(a, b).sections if s.title == "Figures" for row in s.changes}
    assert [row.note for name, row in rows.items() if name == "Sale: 99 of 100 within"] == ["+50.0 %"]
    assert [row.b for name, row in rows.items() if name.startswith("Price on a till")] == [ABSENT]


def test_another_profile_is_a_difference_of_the_environment(tmp_path: Path) -> None:
    """The reader is told that figures need not compare."""
    record = sample(tmp_path, "go")
    fleet = replace(record.meta.fleet, profile="site-1g-1.80", till_cpu_share=0.5)
    other = replace(record, meta=replace(record.meta, fleet=fleet, run_id="other"))
    found = difference(verdict_of(record), verdict_of(other))
    assert not found.same_environment
    assert "figures of A and B need not compare" in as_text(found)
    assert "the environments differ" in diff_html(found)


def test_another_commit_on_another_day_is_the_same_environment(tmp_path: Path) -> None:
    """That is what two runs are compared for; the commit is shown, and figures compare."""
    record = sample(tmp_path, "go")
    load = replace(record.meta.load, business_dates=("2031-01-01",))
    later = replace(record, meta=replace(record.meta, load=load, commit="0123456789ab"))
    found = difference(verdict_of(record), verdict_of(later))
    (facts,) = [section for section in found.sections if section.title == "Environment"]
    assert [row.what for row in facts.changes] == ["commit"]
    assert found.same_environment


def test_a_claim_that_was_dropped_and_a_machine_that_was_throttled_are_seen(tmp_path: Path) -> None:
    """GO for fewer claims is not the same GO, and a till that was throttled explains its latency."""
    record = sample(tmp_path, "go")
    claims = tuple(replace(claim, claimed=False) for claim in record.judgement.claims)
    first, *rest = record.meta.machines
    machines = (replace(first, throttled_s=12.5, restarts=2), *rest)
    other = replace(
        record, meta=replace(record.meta, machines=machines), judgement=replace(record.judgement, claims=claims)
    )
    sections = {s.title: s.changes for s in difference(verdict_of(record), verdict_of(other)).sections}
    assert {row.b for row in sections["Claims"]} == {"not claimed"}
    (machine,) = sections["Machines"]
    assert machine.what == first.node
    assert "12.5 s throttled" in machine.b and "2 restarts" in machine.b


def test_what_people_wrote_stays_text(tmp_path: Path) -> None:
    """Neither page nor terminal takes markup or control characters from a run."""
    found = difference(verdict_of(sample(tmp_path / "a", "go")), verdict_of(sample(tmp_path / "b", "hostile")))
    assert diff_html(found).count("<script") == 1  # the sorting
    assert not {"\x1b", "\u202e", "\x00"} & set(as_text(found))


def test_a_folder_without_a_verdict_is_named(tmp_path: Path) -> None:
    """The error says which file can't be read."""
    with pytest.raises(VerdictUnreadable, match=r"nowhere/verdict\.json"):
        compare(tmp_path / "nowhere" / "verdict.json", tmp_path)


def test_a_newer_verdict_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    """Also where it lacks what this one needs."""
    (tmp_path / "verdict.json").write_text('{"schema": 99, "id": "x"}')
    with pytest.raises(VerdictUnreadable, match="schema 99 is newer than"):
        compare(tmp_path, tmp_path)


def test_the_command_prints_the_differences_and_writes_the_page(tmp_path: Path) -> None:
    """`tillproof diff A B --html FILE`, and a usage error for a folder that is no run."""
    write_report(sample(tmp_path / "a", "go"))
    write_report(sample(tmp_path / "b", "inconclusive"))
    page = tmp_path / "page.html"
    words = ["diff", str(tmp_path / "a"), str(tmp_path / "b"), "--html", str(page)]
    done = CliRunner().invoke(tillproof, words)
    assert done.exit_code == 0
    assert "INCONCLUSIVE" in done.output
    assert page.read_text().startswith("<!doctype html>")
    (tmp_path / "empty").mkdir()
    failed = CliRunner().invoke(tillproof, ["diff", str(tmp_path / "a"), str(tmp_path / "empty")])
    assert failed.exit_code == 2
    assert "verdict.json" in failed.output
