"""Suite files: combinations, and everything wrong is named before anything runs."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from rehearsal.options import SCENARIOS, scenario_path
from rehearsal.suite.plan import SuiteInvalid, load_suite

ROOT = Path(__file__).parents[3]
GOOD = """\
title = "Mine"
seed = 9

[loads.level]
kind = "steady"
rate = 2
for = "20s"

[loads.up]
kind = "ramp"
rate = 1
to = 40
for = "30s"

[[runs]]
name = "both"
scenarios = ["selling"]
profiles = ["site-1g-1.80", "lab-1g-2.40"]
loads = ["level", "up"]
tills = 3
thresholds = ["sale.p99 <= 300ms"]
set = { "catalogue.products" = 500 }
"""
CAPACITY = """
[[runs]]
name = "limit"
scenarios = ["selling"]
loads = ["up"]

[runs.capacity]
of = "till"
until = ["sale.p99 <= 500ms"]
at_least = 4
"""


def refusal(folder: Path, text: str) -> str:
    """Return what is said of a suite."""
    path = folder / "mine.toml"
    path.write_text(text)
    with pytest.raises(SuiteInvalid) as caught:
        load_suite(path, reports=folder)
    return str(caught.value)


def test_texts_reach_the_scenario_as_they_are_written(tmp_path: Path) -> None:
    """With quotes and backslashes; `--set` takes TOML."""
    (tmp_path / "mine.toml").write_text(
        GOOD.replace('"catalogue.products" = 500', """title = 'The "big" \\new one'""")
    )
    (run, *_) = load_suite(tmp_path / "mine.toml", reports=tmp_path).runs
    assert run.scenario.title == 'The "big" \\new one'


def test_runs_are_every_combination_with_their_load_in_the_scenario(tmp_path: Path) -> None:
    """Scenario x profile x load; a load's rate, time and shape are the scenario's then."""
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + CAPACITY)
    suite = load_suite(path, reports=tmp_path / "runs")
    assert [(run.name, run.scenario.fleet.profile, run.load.name) for run in suite.runs] == [
        ("both", "site-1g-1.80", "level"),
        ("both", "site-1g-1.80", "up"),
        ("both", "lab-1g-2.40", "level"),
        ("both", "lab-1g-2.40", "up"),
        ("limit", "site-1g-1.80", "up"),
    ]
    ramp = suite.runs[1].scenario
    assert (ramp.seed, len(ramp.fleet.tills), ramp.load.rate_per_s, ramp.load.duration_s) == (9, 3, 1.0, 30.0)
    assert ramp.load.shape == ((0.0, 1.0), (30.0, 40.0))
    assert ramp.stages[0].ends_s == 30.0
    assert ramp.catalogue.products == 500
    assert [rule.rule for rule in ramp.thresholds] == ["sale.p99 <= 300ms"]
    limit = suite.runs[-1].capacity
    assert limit is not None
    assert (limit.of, limit.at_least, limit.until[0].limit) == ("till", 4.0, 500.0)


def test_the_standard_suite_is_good_and_short_enough() -> None:
    """It is to finish within 20 minutes."""
    suite = load_suite(ROOT / "suite/standard.toml", reports=Path("reports"))
    assert {run.capacity.of for run in suite.runs if run.capacity is not None} == {"till", "server"}
    assert {run.load.kind for run in suite.runs} == {"steady", "ramp", "spike", "soak"}
    assert suite.about_s < 15 * 60


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('kind = "steady"', 'kind = "wave"', "loads.level.kind: 'wave' is not allowed; allowed: steady, ramp"),
        ("to = 40\n", "", "loads.up: to is missing"),
        ('loads = ["level", "up"]', 'loads = ["levle"]', "there are level, up; did you mean 'level'?"),
        ('["selling"]', '["sellin"]', "there is no scenario 'sellin'"),
        ('["selling"]', '["go-live"]', "a load fits scenarios of one"),
        ('"lab-1g-2.40"]', '"lab"]', "'lab' is not allowed"),
        ("tills = 3", "tills = 0", "out of range; allowed: 1 to 99"),
        ("sale.p99 <= 300ms", "sale.p98 <= 300ms", "with load level: selling.toml"),
        ("{ \"catalogue.products\" = 500 }", "{ \"catalogue.products\" = [1] }", "neither a number, a text"),
        ("{ \"catalogue.products\" = 500 }", "{ \"catalogue.producs\" = 5 }", "did you mean 'products'?"),
        ("seed = 9", "seed = 9\nsede = 1", "sede: unknown key"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    """With the file, the key and what is allowed."""
    assert old in GOOD
    assert said in refusal(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('of = "till"', 'of = "shop"', "'shop' is not allowed; allowed: till, server"),
        ('["sale.p99 <= 500ms"]', "[]", "until: is empty"),
        ('["sale.p99 <= 500ms"]', '["drain <= 5s"]', "drain can't be told second by second"),
        ('loads = ["up"]', 'loads = ["level"]', "a capacity needs a ramp, and level is steady"),
    ],
)
def test_a_wrong_capacity_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    """A capacity belongs to a ramp and to figures that have a value for every stretch."""
    assert old in CAPACITY
    assert said in refusal(tmp_path, GOOD + CAPACITY.replace(old, new, 1))


def test_no_runs_is_no_suite(tmp_path: Path) -> None:
    """And a file that is not TOML says where."""
    assert "at least one [[runs]] is needed" in refusal(tmp_path, 'title = "x"\n')
    assert "not TOML" in refusal(tmp_path, "title =")


def test_a_run_is_repeated_by_a_path_that_works_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite names its scenarios from its own folder; the command is typed in the working folder."""
    folder = tmp_path / "our suites"
    folder.mkdir()
    (folder / "ours.toml").write_text((SCENARIOS / "selling.toml").read_text())
    (folder / "mine.toml").write_text(GOOD.replace('["selling"]', '["ours.toml", "selling"]'))
    monkeypatch.chdir(tmp_path)
    runs = load_suite(Path("our suites/mine.toml"), reports=tmp_path).runs
    named = {shlex.split(run.options.reproduce(9))[2]: run.path.resolve() for run in runs}
    assert list(named) == ["our suites/ours.toml", "selling"]
    assert all(scenario_path(name) is not None for name in named)
    assert named["our suites/ours.toml"] == folder / "ours.toml"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seed = 9", f"seed = {'9' * 400}"), ("seed = 9", f"seed = {'9' * 5000}"),
        ("rate = 2", f"rate = {'9' * 400}"), ("= 500 }", f"= {'9' * 400} }}"),
        ("= 500 }", f"= 0x{'f' * 5000} }}"), ("= 500 }", "= nan }"),
    ],
)  # fmt: skip
def test_a_number_too_long_or_none_is_named(tmp_path: Path, old: str, new: str) -> None:
    """In the suite, and in what it sets in a scenario."""
    assert refusal(tmp_path, GOOD.replace(old, new)).startswith("mine.toml")
