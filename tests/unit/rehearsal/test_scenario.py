"""A scenario that can't be used is refused with file, line, key and what is allowed; a good one is complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.profiles import PROFILES
from rehearsal.drive.faults import KnownFaults
from rehearsal.options import SCENARIOS, Options, scenario_names
from rehearsal.plan.loader import Overrides, ScenarioInvalid, load_scenario
from rehearsal.plan.scenario import Scenario
from rehearsal.running import read_scenario

GOOD = """\
title = "A small one"
seed = 7
claims = ["receipts", "money"]
thresholds = ["settlement == exact", "sale.p99 <= 250ms"]

[fleet]
tills = 4

[load]
duration = "60s"
rate = 1.5

[[stages]]
name = "selling"
at = 0
for = "60s"

[[faults]]
kind = "cut"
targets = ["T02"]
at = "10s"
for = "5s"
"""

PLAIN = Overrides()


def load(folder: Path, text: str, overrides: Overrides = PLAIN) -> Scenario:
    """Read a scenario from text."""
    path = folder / "mine.toml"
    path.write_text(text)
    return load_scenario(path, faults=KnownFaults(), profiles=tuple(PROFILES), overrides=overrides)


def refusal(folder: Path, old: str, new: str) -> str:
    """Return what is said of the good scenario with a change."""
    assert old in GOOD
    with pytest.raises(ScenarioInvalid) as caught:
        load(folder, GOOD.replace(old, new))
    return str(caught.value)


def test_a_good_scenario_is_read_whole(tmp_path: Path) -> None:
    """Durations are seconds, thresholds are parsed, tills are named, defaults are filled in."""
    scenario = load(tmp_path, GOOD)
    assert scenario.name == "mine"
    assert scenario.fleet.tills == ("T01", "T02", "T03", "T04")
    assert scenario.load.duration_s == 60
    assert scenario.faults[0].at_s == 10
    assert scenario.thresholds[1].limit == 250
    assert scenario.stages[0].tills == scenario.fleet.tills


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('rate = 1.5', 'rate = "fast"', "mine.toml, line 11: load.rate: 'fast' is not a number"),
        ('rate = 1.5', 'rat = 1.5', "line 11: load.rat: unknown key"),
        ('rate = 1.5', 'rat = 1.5', "did you mean 'rate'?"),
        ('rate = 1.5', 'rate = 0', "line 11: load.rate: 0 is out of range; allowed: 0.01 to 1000"),
        ('rate = 1.5', 'rate = true', "line 11: load.rate: True is not a number"),
        ('duration = "60s"', 'duration = "long"', "line 10: load.duration: 'long' is not a duration"),
        ('duration = "60s"', "", "load: duration is missing"),
        ('kind = "cut"', 'kind = "cutt"', "line 19: faults[0].kind: 'cutt' is not allowed"),
        ('kind = "cut"', 'kind = "cutt"', "did you mean 'cut'?"),
        ('kind = "cut"', 'kind = "cut"\nlatency_ms = 3', "line 20: faults[0].latency_ms: fault cut has no such"),
        ('kind = "cut"', 'kind = "latency"\nlatency_ms = 0', "latency_ms = 0: give a whole number of ms from 1"),
        ('targets = ["T02"]', 'targets = ["T12"]', "line 20: faults[0].targets: unknown till 'T12'"),
        ('targets = ["T02"]', 'targets = ["T12"]', "there are T01 to T04"),
        ('targets = ["T02"]', 'targets = ["server"]', "fault cut is for tills, not for server"),
        ('targets = ["T02"]', 'targets = "5 tills"', "'5 tills': there are 4 tills"),
        ('targets = ["T02"]', "", "targets: is missing"),
        ('at = "10s"', 'at = "58s"', "the fault ends at 63 s, the load already at 60 s"),
        ('"sale.p99 <= 250ms"', '"sale.p98 <= 250ms"', "line 4: thresholds: unknown figure 'sale.p98'"),
        ('"sale.p99 <= 250ms"', '"sale.p99 <= 250kg"', "'250kg' is not a duration"),
        ('"sale.p99 <= 250ms"', '"sale.p99 is low"', "not a rule"),
        ('"money"', '"monney"', "line 3: claims: 'monney' is not allowed"),
        ('"money"', '"failover"', "failover can't be claimed"),
        ('tills = 4', 'tills = 0', "line 7: fleet.tills: 0 is out of range; allowed: 1 to 99"),
        ('tills = 4', 'tills = 4\nprofile = "site-1g"', "fleet.profile: 'site-1g' is not allowed"),
        ('tills = 4', 'tills = 4\ntill_database = "mysql"', "allowed: sqlite, postgresql"),
        ('seed = 7', 'sed = 7', "line 2: sed: unknown key"),
        ('name = "selling"', 'name = "selling"\ntills = ["T9"]', "stages[0].tills: unknown till 'T9'"),
        ('for = "60s"', 'for = "61s"', "the stage ends at 61 s, the load already at 60 s"),
        ('for = "60s"', 'for = "60s"\nchecks = ["luck"]', "stages[0].checks: 'luck' is not allowed"),
        ('title = "A small one"', 'title = "A small one', "mine.toml: not TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    """Each error names its place and what would be allowed."""
    assert said in refusal(tmp_path, old, new)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Nobody mends a file one error at a time."""
    text = refusal(tmp_path, "tills = 4", 'tills = 0\nprofile = "x"\ncolour = "red"')
    assert len(text.splitlines()) >= 3


def test_two_faults_on_one_link_may_not_overlap(tmp_path: Path) -> None:
    """The first to be lifted would lift the other as well."""
    more = '\n[[faults]]\nkind = "latency"\ntargets = ["T02"]\nat = "12s"\nfor = "2s"\n'
    with pytest.raises(ScenarioInvalid, match="overlap on the link of T02"):
        load(tmp_path, GOOD + more)
    load(tmp_path, GOOD + more.replace('"12s"', '"15s"'))


@pytest.mark.parametrize(("at", "starts"), [("9.5s", False), ("0s", False), ("10s", True), ("12s", True)])
def test_a_stage_may_not_begin_before_the_one_above_it_ends(tmp_path: Path, at: str, starts: bool) -> None:
    """It would be begun, and checked, at a time at which it is said to be over."""
    stages = GOOD.replace('for = "60s"', 'for = "10s"\n\n[[stages]]\nname = "window"\nat = "AT"\nfor = "5s"')
    text = stages.replace('"AT"', f'"{at}"')
    if starts:
        assert [stage.at_s for stage in load(tmp_path, text).stages] == [0, float(at[:-1])]
        return
    said = rf"mine.toml, line 20: stages\[1\].at: stage 'window' begins at {at[:-1]} s, before stage 'selling'"
    with pytest.raises(ScenarioInvalid, match=said):
        load(tmp_path, text)


def test_targets_by_number_follow_the_seed(tmp_path: Path) -> None:
    """One seed, one choice; another seed chooses otherwise sooner or later."""
    text = GOOD.replace('targets = ["T02"]', 'targets = "2 tills"')
    chosen = {load(tmp_path, text, Overrides(seed=seed)).faults[0].targets for seed in range(20)}
    again = {load(tmp_path, text, Overrides(seed=seed)).faults[0].targets for seed in range(20)}
    assert chosen == again
    assert len(chosen) > 1
    assert all(len(targets) == 2 for targets in chosen)


def test_the_command_line_overrides_the_file(tmp_path: Path) -> None:
    """Numbers, words and elements of lists can be set; a wrong value is refused like one in the file."""
    given = Overrides(
        tills=3, seed=99, profile="lab-3g-2.40",
        values=(("load.rate", "2.5"), ("fleet.till_database", "postgresql"), ("faults.0.at", "20s")),
    )  # fmt: skip
    scenario = load(tmp_path, GOOD, given)
    assert (len(scenario.fleet.tills), scenario.seed, scenario.fleet.profile) == (3, 99, "lab-3g-2.40")
    assert (scenario.load.rate_per_s, scenario.fleet.till_database) == (2.5, "postgresql")
    assert scenario.faults[0].at_s == 20
    with pytest.raises(ScenarioInvalid, match="unknown till 'T02'"):
        load(tmp_path, GOOD, Overrides(tills=1))
    with pytest.raises(ScenarioInvalid, match="there is no such table"):
        load(tmp_path, GOOD, Overrides(values=(("title.x", "1"),)))


@pytest.mark.parametrize("name", scenario_names())
def test_the_scenarios_that_come_with_it_are_good(name: str) -> None:
    """Everything in rehearsal/scenarios can be run."""
    scenario = load_scenario(SCENARIOS / f"{name}.toml", faults=KnownFaults(), profiles=tuple(PROFILES))
    assert scenario.faults or name == "selling"  # which is there for loads alone


def test_go_live_is_as_large_as_it_says() -> None:
    """Ten tills, 100,000 products, at least eight faults of five kinds, and sales enough."""
    scenario = load_scenario(SCENARIOS / "go-live.toml", faults=KnownFaults(), profiles=tuple(PROFILES))
    assert len(scenario.fleet.tills) == 10
    assert scenario.catalogue.products == 100_000
    assert len(scenario.faults) >= 8
    assert len({fault.kind for fault in scenario.faults}) >= 5
    assert scenario.load.min_sales >= 1000


def test_a_ramp_and_a_spike_are_read_as_factors_of_the_rate(tmp_path: Path) -> None:
    """The rate in the file is where they begin."""
    ramp = GOOD.replace("rate = 1.5", 'rate = 1.5\nshape = { kind = "ramp", to = 30 }')
    assert load(tmp_path, ramp).load.shape == ((0.0, 1.0), (60.0, 20.0))
    spike = GOOD.replace("rate = 1.5", 'rate = 2\nshape = { kind = "spike", to = 8, at = "10s", for = "5s" }')
    assert load(tmp_path, spike).load.shape == ((10.0, 1.0), (10.0, 4.0), (15.0, 4.0), (15.0, 1.0))
    assert load(tmp_path, GOOD).load.shape == ()


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ('{ kind = "slope", to = 3 }', "'slope' is not allowed; allowed: steady, ramp, spike"),
        ('{ kind = "ramp" }', "to is missing"),
        ('{ kind = "ramp", to = 5000 }', "out of range; allowed: 0 to 1000"),
        ('{ kind = "ramp", to = 5, at = "1s" }', "load.shape.at: unknown key"),
        (
            '{ kind = "spike", to = 5, at = "50s", for = "20s" }',
            "the spike ends at 70 s, the load already at 60 s",
        ),
        ('"ramp"', "is not a table"),
    ],
)
def test_a_wrong_shape_is_refused(tmp_path: Path, shape: str, said: str) -> None:
    """With the key and what is allowed."""
    assert said in refusal(tmp_path, "rate = 1.5", f"rate = 1.5\nshape = {shape}")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rate = 1.5", "rate = 1.5\nrefunds = 0.5\nvoids = 0.3\nlookups = 0.3", "together are more than 1"),
        ("[load]", "[backoffice]\nmix = { price = nan, product = 1 }\n[load]", "price = nan is not a factor"),
        ("[load]", "[backoffice]\nmix = { price = inf }\n[load]", "price = inf is not a factor"),
        ("[load]", f"[backoffice]\nmix = {{ price = {'9' * 400} }}\n[load]", "is not a factor"),
        ("[load]", "[backoffice]\nmix = { price = 0 }\n[load]", "every factor is 0"),
        ("seed = 7", f"seed = {'9' * 400}", "999… is out of range"),
        ("seed = 7", f"seed = 0x{'f' * 5000}", "a number of thousands of digits is out of range"),
        ("rate = 1.5", f"rate = {'9' * 400}", "999… is out of range"),
        ("at = 0", f"at = {'9' * 400}", "inf is out of range"),
        ('["T02"]', f'"{"9" * 5000} tills"', "is not a list of strings"),
        ("<= 250ms", f"<= {'9' * 400}ms", "is not a duration"),
    ],
)
def test_a_value_beyond_its_bounds_is_named_before_anything_starts(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    """However many digits it has, and where only the values together are wrong."""
    text = refusal(tmp_path, old, new)
    assert said in text
    assert text.startswith("mine.toml, line ")


@pytest.mark.parametrize(("key", "value"), [("stages.².for", "3"), ("seed", "9" * 5000), ("seed", "9" * 400)])
def test_an_override_that_can_not_be_is_named(tmp_path: Path, key: str, value: str) -> None:
    """A place that only looks like a number, and a number that is too long."""
    with pytest.raises(ScenarioInvalid, match=r"no such table|is not a whole number|is out of range"):
        load(tmp_path, GOOD, Overrides(values=((key, value),)))


def test_a_file_with_a_number_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    """Python reads no number of 5000 digits."""
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace("seed = 7", f"seed = {'9' * 5000}"))
    with pytest.raises(ScenarioInvalid, match=r"mine\.toml: can't be read"):
        read_scenario(path, Options(scenario=str(path)))
