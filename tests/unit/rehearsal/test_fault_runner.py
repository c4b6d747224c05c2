"""Every fault that was injected is lifted and read back, whatever goes wrong; what was not run says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from chaos.errors import FaultFailed, FaultInvalid
from chaos.faults.base import Bite, Context, Fault, Healed
from chaos.faults.noop import Noop
from rehearsal.drive import faults as module
from rehearsal.drive.control import Control
from rehearsal.drive.faults import FaultRunner, KnownFaults
from rehearsal.model import FaultRecord
from rehearsal.plan.scenario import FaultPlan, FleetPlan, LoadPlan, Scenario

CONTEXT = Context(fleet=cast(Any, None), witness=cast(Any, None))


class Scripted(Noop):
    """A fault that does as told, and remembers what was called."""

    def __init__(
        self, *, fails_in: str = "", obstacle: str | None = None, healed_at: int | None = 1,
        failure: type[Exception] = FaultFailed, left: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        super().__init__(("T01",))
        self.calls: list[str] = []
        self.fails_in, self.why, self.healed_at = fails_in, obstacle, healed_at
        self.failure, self.left = failure, left

    def called(self, name: str) -> None:
        """Remember, and fail where told."""
        self.calls.append(name)
        if name == self.fails_in:
            raise self.failure(f"{name} went wrong")

    def obstacle(self, context: Context) -> str | None:
        """Say why it can't be run."""
        if self.fails_in == "obstacle":
            raise self.failure("obstacle went wrong")
        return self.why

    def inject(self, context: Context) -> None:
        """Begin."""
        self.called("inject")

    def lift(self, context: Context) -> None:
        """End."""
        self.called("lift")

    def give_up(self, context: Context) -> tuple[str, ...]:
        """Leave behind."""
        self.called("give_up")
        return self.left

    def verify(self, context: Context) -> Healed:
        """Read back."""
        self.called("verify")
        ok = self.healed_at is not None and self.calls.count("verify") >= self.healed_at
        return Healed(ok=ok, text="read back")

    def evidence(self, context: Context) -> Bite:
        """Show."""
        self.called("evidence")
        return Bite(bit=True, text="it bit")


def run(fault: Fault, monkeypatch: pytest.MonkeyPatch, *, at_s: float = 0.0) -> FaultRecord:
    """Run one fault to its end, or up to an early heal."""
    monkeypatch.setattr(module, "fault", lambda *_: fault)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    monkeypatch.setattr(module, "READ_BACK_S", 0.2)
    plan = FaultPlan(kind="noop", targets=("T01",), at_s=at_s, for_s=0.0)
    scenario = Scenario(
        name="x", title="x", seed=1, claims=(), thresholds=(), load=LoadPlan(duration_s=10), stages=(),
        fleet=FleetPlan(tills=("T01", "T02"), profile="site-1g-1.80"), faults=(plan,),
    )  # fmt: skip
    said: list[str] = []
    runner = FaultRunner(scenario, CONTEXT, say=said.append)
    runner.start(time.monotonic())
    if at_s == 0.0:
        for thread in runner._threads:
            thread.join(10)
    assert runner.heal(deadline_s=10) == []
    assert runner.on() == []
    return runner.records()[0]


def test_a_fault_runs_from_injection_to_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Injected, lifted, read back, shown; with the times of its window."""
    fault = Scripted()
    record = run(fault, monkeypatch)
    assert fault.calls == ["inject", "lift", "verify", "evidence"]
    assert (record.ran, record.bit, record.healed) == (True, True, True)
    assert record.started_ms is not None
    assert record.ended_ms is not None


def test_a_failed_injection_is_lifted_and_never_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows what was done, so nothing is proved, but it is undone."""
    fault = Scripted(fails_in="inject")
    record = run(fault, monkeypatch)
    assert fault.calls == ["inject", "lift", "verify", "evidence"]
    assert record.bit is None
    assert "inject went wrong" in record.evidence


@pytest.mark.parametrize("fails_in", ["lift", "verify"])
def test_a_failed_heal_is_on_record(monkeypatch: pytest.MonkeyPatch, fails_in: str) -> None:
    """Lifting is tried again; what can't be read back is not healed."""
    fault = Scripted(fails_in=fails_in, healed_at=None)
    record = run(fault, monkeypatch)
    assert record.healed is False
    assert fault.calls.count("lift") == (3 if fails_in == "lift" else 1)


@pytest.mark.parametrize("fails_in", ["obstacle", "inject", "lift", "verify", "evidence"])
def test_what_nobody_foresaw_in_a_fault_is_on_record(monkeypatch: pytest.MonkeyPatch, fails_in: str) -> None:
    """Its thread lives on, whatever it raises: the fault is lifted, and the record names the error."""
    fault = Scripted(fails_in=fails_in, failure=KeyError)
    record = run(fault, monkeypatch)
    assert f"KeyError: '{fails_in} went wrong'" in record.evidence + record.heal_evidence
    assert (record.ran, record.bit is True) == (fails_in != "obstacle", fails_in == "lift")
    assert record.healed is {"obstacle": None, "inject": True}.get(fails_in, False)
    assert record.left_behind == (("T01",) if fails_in == "lift" else ())
    assert fault.calls.count("lift") == {"obstacle": 0, "lift": 3}.get(fails_in, 1)


def test_what_a_fault_leaves_behind_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given up only after the last try; not healed then, whatever is read back."""
    fault = Scripted(fails_in="lift", left=("T01", "T01"))
    record = run(fault, monkeypatch)
    assert fault.calls == ["inject", "lift", "lift", "lift", "give_up", "verify", "evidence"]
    assert (record.healed, record.left_behind) == (False, ("T01",))
    assert record.heal_evidence == "lifting failed: fault_failed: lift went wrong; read back"


@pytest.mark.parametrize("healed_at", [3, None])
def test_what_is_not_back_at_once_is_asked_again(monkeypatch: pytest.MonkeyPatch, healed_at: int | None) -> None:
    """A node may be slow to answer after its start; one that never does is not healed."""
    fault = Scripted(healed_at=healed_at)
    record = run(fault, monkeypatch)
    assert record.healed is (healed_at is not None)
    assert fault.calls.count("verify") >= 3
    assert fault.calls[-1] == "evidence"


def test_a_thread_that_breaks_beside_its_fault_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What breaks within a fault is on its record; what breaks around it is trouble of the run."""

    def broken(*_: object) -> None:
        raise IndexError("list index out of range")

    monkeypatch.setattr(FaultRunner, "_carry_out", broken)
    runner = runner_of(FaultPlan(kind="noop", targets=("T01",), at_s=0.0, for_s=0.0), control=Control())
    runner.start(time.monotonic())
    runner._threads[0].join(30)
    (told,) = runner.heal(deadline_s=30)
    assert "fault-0-noop broke: IndexError" in told
    assert runner.records()[0].ran is False


def test_a_fault_that_is_not_over_when_the_run_goes_on_leaves_its_targets_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A till that is still being set up anew can't come to rest, and that is not the till's doing."""
    lifting, let_go = threading.Event(), threading.Event()

    class Slow(Scripted):
        def lift(self, context: Context) -> None:
            lifting.set()
            let_go.wait(30)

    monkeypatch.setattr(module, "fault", lambda *_: Slow())
    runner = runner_of(FaultPlan(kind="noop", targets=("T01",), at_s=0.0, for_s=0.0), control=Control())
    runner.start(time.monotonic())
    assert lifting.wait(30)
    told = runner.heal(deadline_s=0.01)
    assert (told, runner.records()[0].left_behind) == (
        ["the lab's thread fault-0-noop did not come to its end"], ("T01",),
    )  # fmt: skip
    let_go.set()
    assert runner.heal(deadline_s=30) == []


@pytest.mark.parametrize(("targets", "waits"), [(("T01", "T02"), True), (("T02",), False)])
def test_a_fault_on_a_link_waits_for_the_lift_of_the_one_before(
    monkeypatch: pytest.MonkeyPatch, targets: tuple[str, ...], waits: bool
) -> None:
    """One that is planned to begin as the other ends would be lifted with it."""
    lifting, let_go, begun = threading.Event(), threading.Event(), threading.Event()

    class First(Scripted):
        def lift(self, context: Context) -> None:
            lifting.set()
            let_go.wait(30)

    class Second(Scripted):
        def inject(self, context: Context) -> None:
            begun.set()

    monkeypatch.setattr(module, "fault", lambda kind, *_: First() if kind == "cut" else Second())
    first = FaultPlan(kind="cut", targets=("T01",), at_s=0.0, for_s=0.0)
    second = FaultPlan(kind="latency", targets=targets, at_s=0.0, for_s=0.0, by_hand=False)
    runner = runner_of(first, control=Control())
    runner.start(time.monotonic())
    assert lifting.wait(30)
    runner._plans.append(second)
    runner._ends.append(threading.Event())
    runner._records.append(runner._planned(second))
    thread = threading.Thread(target=runner._run, args=(1, second, time.monotonic()))
    thread.start()
    assert begun.wait(0.3 if waits else 30) is not waits
    let_go.set()
    thread.join(30)
    assert begun.is_set()
    assert runner.heal(deadline_s=30) == []
    assert runner.on() == []


def test_what_can_not_be_run_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is kept, and nothing was touched."""
    fault = Scripted(obstacle="needs root")
    record = run(fault, monkeypatch)
    assert fault.calls == []
    assert (record.ran, record.bit) == (False, None)
    assert "needs root" in record.evidence


def test_a_run_that_ends_early_starts_no_more_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of later is said to have not been reached."""
    fault = Scripted()
    record = run(fault, monkeypatch, at_s=3600.0)
    assert fault.calls == []
    assert not record.ran
    assert "not reached" in record.evidence


def test_the_registry_says_what_is_wrong_with_parameters() -> None:
    """A near miss of a parameter's name is suggested."""
    known = KnownFaults()
    problems: Callable[..., Any] = known.problems
    assert problems("latency", {"latency_ms": 100}, ("T01",)) == {}
    assert "did you mean 'latency_ms'" in problems("latency", {"latencyms": 1}, ("T01",))["latencyms"]
    assert "give less than latency_ms" in problems("latency", {"jitter_ms": 900}, ("T01",))["jitter_ms"]
    assert problems("slow_clerk", {}, ("postgres", "postgres-standby")) == {}
    told = problems("slow_clerk", {}, ("postgres", "server"))["targets"]
    assert told == "fault slow_clerk is for postgres or postgres-standby, not for server"
    assert problems("postgres_restart", {}, ("postgres", "tillpostgres")) == {}
    told = problems("postgres_restart", {}, ("server",))["targets"]
    assert told == "fault postgres_restart is for postgres or postgres-standby or tillpostgres, not for server"
    assert "is for tills" in problems("cut", {}, ("server",))["targets"]
    assert known.on_link("cut")
    assert not known.on_link("kill")


def runner_of(*plans: FaultPlan, control: Control) -> FaultRunner:
    """Return a runner of these faults."""
    scenario = Scenario(
        name="x", title="x", seed=1, claims=(), thresholds=(), load=LoadPlan(duration_s=10), stages=(),
        fleet=FleetPlan(tills=("T01", "T02"), profile="site-1g-1.80"), faults=plans,
    )  # fmt: skip
    return FaultRunner(scenario, CONTEXT, say=lambda _: None, control=control)


def test_a_fault_by_hand_is_on_record_and_ends_when_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts like one of the schedule, says that it came by hand, and for how long it was on."""
    scripted = Scripted()
    monkeypatch.setattr(module, "fault", lambda *_: scripted)
    runner = runner_of(control=Control())
    begin = time.monotonic()
    plan = FaultPlan(kind="noop", targets=("T01",), at_s=0.0, for_s=3600.0, by_hand=True)
    index = runner.begin_now(plan, begin)
    with pytest.raises(FaultInvalid, match="noop is already on T01"):
        runner.begin_now(plan, begin)
    assert [on[1] for on in runner.on()] == [plan]
    assert not runner.settled("T01", 0.0)
    runner.end(index)
    assert runner.heal(deadline_s=30) == []
    (record,) = runner.records()
    assert (record.bit, record.healed, record.params) == (True, True, {"by": "hand"})
    assert record.for_s < 60
    assert runner.on() == []
    with pytest.raises(FaultInvalid, match="the selling is over"):
        runner.begin_now(plan, begin)


def test_a_pause_holds_back_what_has_not_begun_until_the_schedule_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that came due meanwhile begins then; one that never could says that it was not reached."""
    begun = threading.Event()

    class Noted(Scripted):
        def inject(self, context: Context) -> None:
            begun.set()

    monkeypatch.setattr(module, "fault", lambda *_: Noted())
    plan = FaultPlan(kind="noop", targets=("T01",), at_s=0.0, for_s=0.0)
    control = Control()
    control.pause()
    held = runner_of(plan, control=control)
    held.start(time.monotonic())
    assert held.heal(deadline_s=30) == []
    assert not begun.is_set()
    assert not held.records()[0].ran
    later = runner_of(plan, control=control)
    later.start(time.monotonic())
    assert later.on() == []
    control.resume()
    assert begun.wait(30)
    assert later.heal(deadline_s=30) == []
    assert later.records()[0].ran
