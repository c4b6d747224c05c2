"""What was planned and did not take place is on record, and is trouble of the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chaos.errors import ChaosError, StepFailed
from chaos.fleet.node import Ending
from chaos.waiting import wait_until
from loadtest.history import History
from rehearsal.drive import cleaning, selling, stages
from rehearsal.drive import flips as flip_module
from rehearsal.drive.cleaning import Cleaning
from rehearsal.drive.flips import FlipRunner
from rehearsal.drive.generator import LOAD
from rehearsal.drive.selling import _missed, _wait_for_end
from rehearsal.drive.stages import StageRunner
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.plan.scenario import FleetPlan, FlipPlan, LoadPlan, Scenario, StagePlan


class Lab:
    """Stands for a shop whose masters differ for ever; a cleaning or a promotion does as it is told."""

    tills = ("T01",)

    def __init__(self, does: Callable[[], Any] = lambda: None) -> None:
        self.does = does
        self.asked = threading.Event()

    def begin(self) -> int:
        """No term."""
        return 0

    def clean(self, till: str) -> str:
        """Clean a till."""
        self.asked.set()
        self.does()
        return f"{till} cleaned"

    def promote(self) -> tuple[bool, str]:
        """Promote."""
        self.does()
        return True, "promoted"

    def operations(self, till: str) -> frozenset[str]:
        """It sells."""
        return frozenset({str(time.monotonic_ns())})

    def server_rows(self, _sql: str) -> Any:
        """Read the masters."""
        self.asked.set()
        raise WitnessUnreadable("masters differ")

    def __getattr__(self, name: str) -> Any:
        """Nothing else is asked for."""
        return None


def stage(name: str, at_s: float, for_s: float, *asked: str, gate: bool = False) -> StagePlan:
    """A stage with steps and checks."""
    steps = tuple(name for name in asked if name in ("clean", "promote"))
    return StagePlan(
        name=name, title=name, at_s=at_s, for_s=for_s, tills=("T01",), steps=steps, gate=gate,
        checks=tuple(name for name in asked if name not in steps),
    )  # fmt: skip


def runner(*plans: StagePlan, lab: Lab | None = None) -> StageRunner:
    """Return a runner of these stages, not begun."""
    fake = cast(Any, lab or Lab())
    return StageRunner(
        plans, shop=fake, witness=fake, takeover=fake, cleaning=fake, stop=threading.Event(), say=lambda _: None
    )


def to_its_end(made: StageRunner) -> StageRunner:
    """Run stages until no other comes, and stop them."""
    made.start(time.monotonic())
    assert wait_until(lambda: made.over, 30.0, every_s=0.01)
    made.stop()
    return made


def test_a_stage_that_is_cut_off_and_those_after_it_are_told() -> None:
    """The check had found differences so far, and nobody knows whether they would have gone."""
    lab = Lab()
    plans = (stage("quiet", 0, 30, "masters"), stage("last", 30, 30, "selling"), stage("idle", 60, 1))
    made = runner(*plans, lab=lab)
    made.start(time.monotonic())
    assert lab.asked.wait(30)
    made.stop()
    assert [(one.name, one.passed, one.unseen) for one in made.records] == [
        ("quiet", None, True), ("last", None, True), ("idle", None, False),
    ]  # fmt: skip
    assert [one.detail for one in made.records] == [
        "cut off before its end; masters differ", "not begun", "not begun",
    ]  # fmt: skip
    assert made.trouble == [
        "stage quiet was cut off before its end", "stage last was not begun", "stage idle was not begun",
    ]  # fmt: skip


def test_a_stage_that_only_sells_has_nothing_to_pass() -> None:
    """Neither at its end nor when it is cut off."""
    made = runner(stage("short", 0, 0.05), stage("long", 0.05, 30))
    made.start(time.monotonic())
    assert wait_until(lambda: "long" in made.current, 30.0, every_s=0.01)
    made.stop()
    assert [(one.passed, one.unseen) for one in made.records] == [(None, False), (None, False)]
    assert made.trouble == []


def test_stages_that_break_are_told() -> None:
    """Whatever the reason, none of them is taken for passed."""

    def breaking() -> None:
        raise IndexError("list index out of range")

    made = to_its_end(runner(stage("a", 0, 0.05, "promote"), stage("b", 0.05, 0.05, "selling"), lab=Lab(breaking)))
    assert [(one.name, one.unseen, one.detail) for one in made.records] == [
        ("a", True, "not seen to its end"), ("b", True, "not begun"),
    ]  # fmt: skip
    assert "stages broke: IndexError" in made.trouble[0]
    assert made.trouble[1:] == ["stage a was not seen to its end", "stage b was not begun"]


def test_a_step_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run does not wait for it for ever, says which it is, and leaves the next till alone."""
    monkeypatch.setattr(stages, "STOP_S", 0.01)
    let_go = threading.Event()
    lab = Lab(lambda: let_go.wait(30))
    made = runner(replace(stage("a", 0, 0.05, "clean"), targets=("T01", "T02")), lab=lab)
    made.start(time.monotonic())
    assert lab.asked.wait(30)
    made.stop()
    lab.asked.clear()
    let_go.set()
    assert "did not come to its end" in made.trouble[0]
    assert [(one.unseen, one.detail) for one in made.records] == [(True, "not seen to its end: clean goes on")]
    assert made.left_behind == ("T01", "T02")
    assert wait_until(lambda: made.over, 30.0, every_s=0.01)
    assert not lab.asked.is_set()


def test_what_is_only_looked_at_is_in_nobodys_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that goes on says nothing against the lab; what the tills then show is their own."""
    monkeypatch.setattr(stages, "STOP_S", 0.01)
    let_go = threading.Event()
    monkeypatch.setattr(stages, "masters_differ", lambda *_: [str(let_go.wait(30))])
    made = runner(stage("a", 0, 0.05, "masters"))
    made.start(time.monotonic())
    assert wait_until(lambda: made._doing == "masters", 30.0, every_s=0.01)
    made.stop()
    let_go.set()
    assert (made.records[0].detail, made.left_behind) == ("not seen to its end: masters goes on", ())


class Fleet:
    """Stands for a fleet in which the cleaning command fails, or that of the import."""

    def __init__(self, folder: Path, fails_at: str) -> None:
        self.folder = folder
        self.fails_at = fails_at
        self.did: list[str] = []

    def dir(self, _node: str) -> Path:
        """Any folder."""
        return self.folder

    def stop(self, till: str) -> None:
        """Stop."""
        self.did.append(f"stop {till}")

    def start(self, till: str) -> None:
        """Start."""
        self.did.append(f"start {till}")

    def run_step(self, step: str) -> str:
        """Run a command."""
        if step == self.fails_at:
            raise StepFailed(f"{step} ended with 1")
        (self.folder / "x.export").touch()
        return "exported"


@pytest.mark.parametrize("fails_at", ["clean", "import"])
def test_a_till_that_could_not_be_cleaned_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: str
) -> None:
    """The lab stopped it: that it would not come to rest, or lacks what nobody imported, is not its fault."""
    fleet = Fleet(tmp_path, fails_at)
    fake = cast(Any, SimpleNamespace(fleet=fleet, live=lambda: "server", till=lambda _: None))
    monkeypatch.setattr(cleaning, "close_day", lambda *_: [])
    monkeypatch.setattr(cleaning, "provision_step", lambda *_, **__: "clean")
    monkeypatch.setattr(cleaning, "import_step", lambda *_: "import")
    monkeypatch.setattr(cleaning.uuid, "uuid4", lambda: SimpleNamespace(hex="x"))
    made = Cleaning(fake, fake, parts=tmp_path, business_date="2026-01-02", say=lambda _: None)
    with pytest.raises(StepFailed, match=f"{fails_at} ended with 1"):
        made.clean("T01")
    assert (made.undone, made.done, fleet.did) == (["T01"], [], ["stop T01", "start T01"])
    made.end()


@pytest.mark.parametrize("gate", [False, True])
def test_a_stage_whose_time_is_over_is_not_begun(monkeypatch: pytest.MonkeyPatch, gate: bool) -> None:
    """A cleaning took longer than it was given; a gate that nobody went through is shut."""
    monkeypatch.setattr(stages, "LATE_S", 0.05)
    plans = (
        stage("clean", 0, 0.05, "clean"), stage("missed", 0.05, 0.1, "selling", gate=gate),
        stage("late", 0.15, 60, "selling") if gate else stage("late", 0.15, 1.5, "selling"),
    )  # fmt: skip
    made = to_its_end(runner(*plans, lab=Lab(lambda: time.sleep(0.4))))
    clean, missed, late = made.records
    assert (clean.passed, missed.passed, missed.unseen) == (True, None, True)
    assert missed.detail.startswith("not begun: the one before it went on until 0.")
    assert made.trouble == [f"stage missed was {missed.detail}"]
    assert late.passed is (None if gate else True)
    assert bool(made.shut) is gate
    if not gate:
        assert late.started_s >= 0.4  # when it really was begun


class Generator:
    """Stands for a shop whose generator ends at a second, with a status, or never."""

    def __init__(self, ends_s: float | None, status: int = 0) -> None:
        self.fleet = self
        self.status = status
        self.until = None if ends_s is None else time.monotonic() + ends_s

    def state(self, _node: str) -> str:
        """Look at it."""
        return "running" if self.until is None or time.monotonic() < self.until else "ended"

    def unasked_endings(self) -> list[Ending]:
        """Tell how it ended."""
        return [Ending(node=LOAD, pid=1, status=self.status, asked=False, oom=False)]


class Stages:
    """Stands for stages that are over, or shut, or neither."""

    def __init__(self, *, over: bool = True, shut: str = "") -> None:
        self.over, self.shut = over, shut
        self.trouble = ["stage a was not begun"]


def waited(monkeypatch: pytest.MonkeyPatch, generator: Generator, found: Stages, *, duration_s: float) -> float:
    """Return how many seconds the selling went on."""
    monkeypatch.setattr(selling, "LOOK_S", 0.01)
    scenario = Scenario(
        name="x", title="x", seed=1, claims=(), thresholds=(), load=LoadPlan(duration_s=duration_s), stages=(),
        fleet=FleetPlan(tills=("T01",), profile="site-1g-1.80"),
    )  # fmt: skip
    begin = time.monotonic()
    _wait_for_end(scenario, cast(Any, generator), cast(Any, found), lambda: None, begin)
    return time.monotonic() - begin


def test_a_generator_without_customers_does_not_end_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last stage may be one in which nobody sells."""
    assert waited(monkeypatch, Generator(0.0), Stages(), duration_s=0.4) >= 0.4


def test_the_last_stage_is_read_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends when the load does; a stage that goes on for ever is not waited for as long."""
    monkeypatch.setattr(selling, "READ_S", 0.4)
    assert 0.5 <= waited(monkeypatch, Generator(0.1), Stages(over=False), duration_s=0.1) < 20


@pytest.mark.parametrize(
    ("generator", "found"), [(Generator(0.0, status=1), Stages()), (Generator(None), Stages(shut="shut"))]
)
def test_a_generator_that_failed_or_a_shut_gate_ends_the_selling(
    monkeypatch: pytest.MonkeyPatch, generator: Generator, found: Stages
) -> None:
    """There is nothing to wait for."""
    assert waited(monkeypatch, generator, found, duration_s=3600) < 20


def test_a_generator_that_goes_on_far_too_long_is_the_labs_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its deadline and some more are over."""
    for name in ("GRACE_S", "SLACK_S"):
        monkeypatch.setattr(selling, name, -5.0)
    with pytest.raises(ChaosError, match="still runs"):
        waited(monkeypatch, Generator(None), Stages(), duration_s=0.1)


@pytest.mark.parametrize(
    ("shut", "interrupted", "told"),
    [
        ("", False, ["stage a was not begun", "the price flip of 5 s was not announced"]),
        ("gate shut", False, ["gate shut"]),
        ("", True, []),
    ],
)
def test_what_did_not_take_place_is_trouble_unless_it_is_known_why(
    tmp_path: Path, shut: str, interrupted: bool, told: list[str]
) -> None:
    """A shut gate is the reason for everything after it; an interrupted run says so itself."""
    flips = flipping(tmp_path, FlipPlan(at_s=5, announce_s=4, products=1, percent=10))
    flips.start(time.monotonic(), 0)
    flips.stop()
    assert _missed(cast(Any, Stages(shut=shut)), flips, interrupted=interrupted) == told


def flipping(folder: Path, flip: FlipPlan) -> FlipRunner:
    """Return a runner of one flip in a shop with two articles and no back office."""
    scenario = Scenario(
        name="x", title="x", seed=1, claims=(), thresholds=(), load=LoadPlan(duration_s=10), stages=(),
        fleet=FleetPlan(tills=("T01",), profile="site-1g-1.80"), flips=(flip,),
    )  # fmt: skip

    class Shop:
        catalogue: Any = type("Two", (), {"prices": {"a": 100, "b": 200}, "pairs": ()})
        clerks = {"clerk": "secret"}  # noqa: RUF012 - a fake

    return FlipRunner(scenario, shop=cast(Any, Shop()), history=History(folder, "d1"), say=lambda _: None)


@pytest.mark.parametrize(("outcome", "told"), [("ok", []), ("info", ["a price flip could not be announced: {}"])])
def test_a_flip_is_announced_when_the_back_office_has_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str, told: list[str]
) -> None:
    """One whose outcome nobody knows when the run stops is trouble."""
    monkeypatch.setattr(flip_module, "RETRY_S", 30.0)
    asked = threading.Event()

    def post(*_: Any) -> tuple[str, dict[str, object]]:
        asked.set()
        return outcome, {}

    flips = flipping(tmp_path, FlipPlan(at_s=5, announce_s=0, products=1, percent=10))
    monkeypatch.setattr(flips, "_post", post)
    flips.start(time.monotonic(), 0)
    assert asked.wait(30)
    flips.stop()
    assert flips.trouble == told
