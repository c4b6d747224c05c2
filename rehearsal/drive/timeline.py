"""One clock for stages and faults, in minutes by default and in the shop's own hours on request.

Keeps: stretching moves things but keeps their order, and a fault stays within the stage it was planned in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from rehearsal.plan.scenario import FaultPlan, FlipPlan, Scenario, StagePlan

Moved = Callable[[float], float]


class NoRealTime(Exception):
    """The scenario does not say when its stages really take place, or two of them would at once."""


def in_real_time(scenario: Scenario, now: datetime) -> tuple[Scenario, datetime]:
    """Return the scenario on the shop's own clock, and when it begins; raises NoRealTime.

    Every stage needs real_at and real_for; times within a stage are stretched with it. The run begins at
    the next occurrence of the first stage's time of day, and a stage earlier than its forerunner is on
    the day after.
    """
    begins = _next(scenario.stages[0], now)
    spans: list[tuple[StagePlan, float, float]] = []
    latest = begins
    for stage in scenario.stages:
        if stage.real_at is None or stage.real_for_s is None:
            raise NoRealTime(f"stage {stage.name} of {scenario.name} has no real_at and real_for")
        at = _next(stage, latest)
        latest = at
        if spans and (at - begins).total_seconds() < spans[-1][1] + spans[-1][2]:
            raise NoRealTime(f"stage {stage.name} of {scenario.name} begins before {spans[-1][0].name} ends")
        spans.append((stage, (at - begins).total_seconds(), stage.real_for_s))
    marks = sorted(
        {(stage.at_s, at) for stage, at, _ in spans} | {(s.ends_s, at + lasts) for s, at, lasts in spans}
    )

    def moved(second: float) -> float:
        return _between(marks, second)

    stages = tuple(replace(stage, at_s=at, for_s=lasts) for stage, at, lasts in spans)
    return (
        replace(
            scenario,
            stages=stages,
            faults=tuple(_fault(fault, moved) for fault in scenario.faults),
            flips=tuple(_flip(flip, moved) for flip in scenario.flips),
            load=replace(
                scenario.load,
                duration_s=max(stage.ends_s for stage in stages),
                shape=tuple((moved(at_s), factor) for at_s, factor in scenario.load.shape),
            ),
        ),
        begins,
    )


def _next(stage: StagePlan, after: datetime) -> datetime:
    hour, minute = map(int, (stage.real_at or "00:00").split(":"))
    at = after.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return at if at >= after else at + timedelta(days=1)


def _fault(fault: FaultPlan, moved: Moved) -> FaultPlan:
    """Move a fault's beginning; its length stays, for what it breaks does not take longer in real time."""
    return replace(fault, at_s=moved(fault.at_s))


def _flip(flip: FlipPlan, moved: Moved) -> FlipPlan:
    return replace(flip, at_s=moved(flip.at_s), announce_s=moved(flip.announce_s))


def _between(marks: list[tuple[float, float]], second: float) -> float:
    """Map a second of the short clock to the long one, linearly between known marks."""
    (left_from, left_to), right = marks[0], marks[-1]
    for mark in marks:
        if mark[0] <= second:
            left_from, left_to = mark
        else:
            right = mark
            break
    if right[0] == left_from:
        return left_to
    return left_to + (second - left_from) * (right[1] - left_to) / (right[0] - left_from)
