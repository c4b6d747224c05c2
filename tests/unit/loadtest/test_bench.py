"""What the benchmark runner makes of results."""

from __future__ import annotations

import json
from pathlib import Path

from loadtest.bench import GOALS, FileRun, figures, read_extra, read_failures

NAMES = {
    "ingest_vs_copy", "initial_load_vs_sqlite", "till_rss_mib", "sale_p99_sync_ratio", "price_latency_p99_ms",
    "sale_latency_p99_ms", "wire_bytes_per_sale", "flush_rss_growth_ratio", "rehearse_wall_s",
}  # fmt: skip


def test_every_promised_figure_is_listed_whatever_ran() -> None:
    """Without any result each is there without a value, not passed, with a reason."""
    listed = figures([])
    assert {figure["name"] for figure in listed} >= NAMES
    assert all(f["value"] is None and not f["passed"] and "no benchmark" in f["reason"] for f in listed)


def test_bounds_hold_in_their_direction() -> None:
    """A ratio to reach must be reached, a size not to exceed must not be exceeded."""
    run = FileRun(path="x", extra={"ingest_vs_copy": 0.59, "till_rss_mib": 96.0, "wire_bytes_per_sale": 100.1})
    passed = {figure["name"]: figure["passed"] for figure in figures([run])}
    assert (passed["ingest_vs_copy"], passed["till_rss_mib"], passed["wire_bytes_per_sale"]) == (
        False,
        True,
        False,
    )
    better = figures([FileRun(path="x", extra={"ingest_vs_copy": 0.6, "ingest_vs_copy_measured": {"copy": 5}})])
    assert next(f for f in better if f["name"] == "ingest_vs_copy")["passed"]
    assert better[0]["measured"] == {"copy": 5}


def test_a_missing_figure_names_its_own_tests_failure() -> None:
    """The reason is that of the test which is named after the figure, if there is one."""
    run = FileRun(path="x", failures=("test_till_rss_mib: boom", "test_other: bang"))
    reasons = {figure["name"]: figure.get("reason") for figure in figures([run])}
    assert reasons["till_rss_mib"] == "test_till_rss_mib: boom"
    assert reasons["ingest_vs_copy"] == "test_till_rss_mib: boom; test_other: bang"


def test_nonsense_is_no_value() -> None:
    """A figure that is text or a truth value doesn't pass."""
    listed = figures([FileRun(path="x", extra={goal.name: True for goal in GOALS})])
    assert not any(figure["passed"] for figure in listed)


def test_results_are_read_from_what_pytest_writes(tmp_path: Path) -> None:
    """Extra information of all benchmarks; failures, errors and skips with their first line."""
    (tmp_path / "b.json").write_text(
        json.dumps({"benchmarks": [{"extra_info": {"a": 1}}, {"extra_info": {"b": 2}}]})
    )
    (tmp_path / "b.xml").write_text(
        '<testsuites><testsuite><testcase name="t1"/>'
        '<testcase name="t2"><failure message="no&#10;more"/></testcase>'
        '<testcase name="t3"><skipped message="not root"/></testcase></testsuite></testsuites>'
    )
    assert read_extra(tmp_path / "b.json") == {"a": 1, "b": 2}
    assert read_failures(tmp_path / "b.xml", "b") == ["t2: no", "t3: not root"]
    assert read_extra(tmp_path / "none.json") == {}
    assert read_failures(tmp_path / "none.xml", "test_b.py") == ["test_b.py: ended without a result"]
