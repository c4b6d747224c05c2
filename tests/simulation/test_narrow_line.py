"""Masters over a line that is too narrow for a whole page, by the shipped core in virtual time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chaos.fleet.simulated.plan import PROFILES, Plan, Profile, plan
from chaos.fleet.simulated.run import play
from syncref.core import downlink

NARROW = Profile(misfortunes={"narrow_line": 1.0}, tills=(1, 2), sales=4, edits=30, products=20, page_rows=32)


@pytest.fixture
def schedules(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """Return schedules in which one till has such a line from the beginning and for good."""
    monkeypatch.setitem(PROFILES, "narrow", NARROW)
    found = []
    for seed in range(20):
        drawn = plan(seed, "narrow")
        actions = (replace(one, at=10) if one.kind == "narrow_line" else one for one in drawn.actions)
        found.append(replace(drawn, actions=tuple(sorted(actions, key=lambda one: one.at))))
    return found


def test_the_masters_arrive_over_a_narrow_line(schedules: list[Plan]) -> None:
    """The products alone take three times as long as a till waits; each till has the server's state in the end."""
    for schedule in schedules:
        findings = play(schedule).findings
        assert not findings, f"seed {schedule.seed}: {findings[:3]}"


def test_without_shorter_pages_they_never_do(schedules: list[Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    """So the line is narrow indeed: a till that asks for whole pages again and again is convicted."""
    monkeypatch.setattr(downlink, "SHORTENED_MAX", 0)
    assert all("drain" in play(schedule).checkers for schedule in schedules[:3])
