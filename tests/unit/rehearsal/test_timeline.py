"""A scenario on the shop's own clock keeps the order of things and each fault in its stage."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rehearsal.drive.loadplan import windows
from rehearsal.drive.timeline import NoRealTime, in_real_time
from rehearsal.plan.scenario import FaultPlan, FleetPlan, LoadPlan, Scenario, StagePlan

TILLS = ("T01", "T02", "T03")


def stage(name: str, at_s: float, for_s: float, real_at: str | None, real_for_s: float | None) -> StagePlan:
    """Make a stage of all tills."""
    return StagePlan(
        name=name, title=name, at_s=at_s, for_s=for_s, tills=TILLS, real_at=real_at, real_for_s=real_for_s
    )


SCENARIO = Scenario(
    name="x", title="x", seed=1, claims=(), thresholds=(), fleet=FleetPlan(tills=TILLS, profile="site-1g-1.80"),
    load=LoadPlan(duration_s=100),
    stages=(stage("noon", 0, 50, "11:30", 4200), stage("night", 60, 40, "21:30", 1800)),
    faults=(
        FaultPlan(kind="cut", targets=("T01",), at_s=25, for_s=10),
        FaultPlan(kind="cut", targets=("T02",), at_s=70, for_s=5),
    ),
)  # fmt: skip
MORNING = datetime(2026, 7, 1, 9, 0, tzinfo=UTC)


def test_stages_move_to_their_hours_and_faults_with_them() -> None:
    """Noon begins the run; a fault in the middle of the first stage stays in its middle."""
    real, begins = in_real_time(SCENARIO, MORNING)
    assert begins == MORNING.replace(hour=11, minute=30)
    assert [(s.at_s, s.for_s) for s in real.stages] == [(0, 4200), (36_000, 1800)]
    assert [fault.at_s for fault in real.faults] == [2100, 36_450]
    assert [fault.for_s for fault in real.faults] == [10, 5]
    assert real.load.duration_s == 37_800


def test_a_time_that_is_over_is_tomorrow() -> None:
    """Asked for in the evening, the run begins the next day."""
    _, begins = in_real_time(SCENARIO, MORNING.replace(hour=22))
    assert begins == datetime(2026, 7, 2, 11, 30, tzinfo=UTC)


def test_a_stage_without_hours_has_no_real_time() -> None:
    """The stage is named."""
    bare = replace(SCENARIO, stages=(SCENARIO.stages[0], stage("free", 60, 40, "21:30", None)))
    with pytest.raises(NoRealTime, match="stage free"):
        in_real_time(bare, MORNING)


def test_stages_that_would_be_at_once_have_no_real_time() -> None:
    """Stages are run one after another: the second would be checked at the first one's end."""
    both = replace(SCENARIO, stages=(SCENARIO.stages[0], stage("early", 60, 40, "12:00", 1800)))
    with pytest.raises(NoRealTime, match="stage early of x begins before noon ends"):
        in_real_time(both, MORNING)


def test_tills_outside_a_stage_do_not_sell_in_it() -> None:
    """A pilot silences the other tills, a stage without edits silences the clerks."""
    pilot = replace(SCENARIO.stages[0], tills=("T01",), edits=False, rate_factor=2.0)
    found = {window.who: (window.from_s, window.to_s, window.factor) for window in
             windows(replace(SCENARIO, stages=(pilot,)))}  # fmt: skip
    assert found == {("T02", "T03"): (0, 50, 0.0), ("T01",): (0, 50, 2.0), ("backoffice",): (0, 50, 0.0)}
