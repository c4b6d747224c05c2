"""Stages with gates: what comes after one that did not pass is never begun."""

from __future__ import annotations

import threading
import time
from typing import Any, cast

import pytest

from rehearsal.drive.stages import StageRunner
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.plan.scenario import StagePlan


class Dumb:
    """A shop whose databases nobody can read, and a standby that is equal or not."""

    tills = ("T01",)

    def __init__(self, *, equal: bool) -> None:
        self.equal = equal

    def server(self) -> Any:
        """No witness."""
        raise WitnessUnreadable("nobody answers")

    def till(self, name: str) -> Any:
        """No witness either."""
        raise WitnessUnreadable(f"{name} does not answer")

    def begin(self) -> int:
        """No term."""
        return 0

    def __getattr__(self, name: str) -> Any:
        """Every step is done."""
        return lambda *_: (self.equal, "compared")


def stage(name: str, at_s: float, *, gate: bool = False) -> StagePlan:
    """A stage of a twentieth of a second that compares preproduction."""
    return StagePlan(name=name, title=name, at_s=at_s, for_s=0.05, tills=(), checks=("parity",), gate=gate)


@pytest.mark.parametrize(("equal", "begun"), [(True, ["pilot", "rollout"]), (False, ["pilot"])])
def test_after_a_gate_that_stays_shut_nothing_is_begun(equal: bool, begun: list[str]) -> None:
    """Those that were not begun are on record as such, and the runner says why the run ends."""
    dumb: Any = Dumb(equal=equal)
    stages = (stage("pilot", 0.0, gate=True), stage("rollout", 0.05))
    runner = StageRunner(
        stages, shop=dumb, witness=dumb, takeover=dumb, cleaning=cast(Any, None), stop=threading.Event(),
        say=lambda _: None,
    )  # fmt: skip
    runner.start(time.monotonic())
    assert runner._thread is not None
    runner._thread.join(30)
    assert [record.name for record in runner.records if not record.detail.startswith("not begun")] == begun
    assert [record.name for record in runner.records] == ["pilot", "rollout"]
    assert bool(runner.shut) is not equal
    assert runner.records[0].passed is equal
