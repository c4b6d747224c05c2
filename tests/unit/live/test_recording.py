"""A run that was interfered with is written back as a scenario that can be run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chaos.profiles import PROFILES
from rehearsal.drive.faults import KnownFaults
from rehearsal.drive.recording import record_scenario
from rehearsal.model import FaultRecord, Intervention
from rehearsal.options import SCENARIOS, scenario_names
from rehearsal.plan.loader import Overrides, ScenarioInvalid, load_scenario
from rehearsal.plan.scenario import FaultPlan

STARTED_MS = 1_700_000_000_000


def carried(plan: FaultPlan, *, at_s: float, for_s: float, ran: bool = True) -> tuple[FaultPlan, FaultRecord]:
    """Return a fault that began at a second of the load."""
    record = FaultRecord(
        kind=plan.kind, targets=plan.targets, at_s=plan.at_s, for_s=for_s, ran=ran,
        started_ms=STARTED_MS + round(at_s * 1000) if ran else None,
    )  # fmt: skip
    return plan, record


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_survives_being_written_back(name: str, tmp_path: Path) -> None:
    """The same scenario comes out, but for its name and for the faults' targets, which are named."""
    path, overrides = SCENARIOS / f"{name}.toml", Overrides(seed=5)
    before = load_scenario(path, faults=KnownFaults(), profiles=tuple(PROFILES), overrides=overrides)
    file = tmp_path / f"{name}.toml"
    record_scenario(
        file, path=path, overrides=overrides, scenario=before, interventions=(), started_ms=STARTED_MS,
        carried_out=[carried(plan, at_s=plan.at_s, for_s=plan.for_s) for plan in before.faults],
    )  # fmt: skip
    after = load_scenario(file, faults=KnownFaults(), profiles=tuple(PROFILES))

    def shown(plan: FaultPlan) -> tuple[object, ...]:
        return plan.kind, plan.targets, round(plan.at_s, 1), round(plan.for_s, 1), plan.params

    assert [shown(plan) for plan in after.faults] == [shown(plan) for plan in before.faults]
    for part in (
        "seed",
        "claims",
        "thresholds",
        "fleet",
        "load",
        "stages",
        "flips",
        "sync",
        "catalogue",
        "backoffice",
    ):
        assert getattr(after, part) == getattr(before, part), part


def test_faults_by_hand_are_written_when_they_came_and_notes_as_comments(tmp_path: Path) -> None:
    """What did not run is left out; a note can't break the file."""
    path = SCENARIOS / "smoke.toml"
    scenario = load_scenario(path, faults=KnownFaults(), profiles=tuple(PROFILES))
    cut = FaultPlan(kind="cut", targets=("T02",), at_s=1.0, for_s=7.0, by_hand=True)
    file = tmp_path / "as-run.toml"
    record_scenario(
        file, path=path, overrides=Overrides(), scenario=scenario, started_ms=STARTED_MS,
        carried_out=[carried(scenario.faults[0], at_s=0, for_s=0, ran=False), carried(cut, at_s=1.23, for_s=2.5)],
        interventions=[Intervention(at_s=1.2, what="cut", targets=("T02",)),
                       Intervention(at_s=2.0, what="note", text='first\n[fleet]\ntills = "none"')],
    )  # fmt: skip
    after = load_scenario(file, faults=KnownFaults(), profiles=tuple(PROFILES))
    assert [(plan.kind, plan.targets, plan.at_s, plan.for_s) for plan in after.faults] == [
        ("cut", ("T02",), 1.2, 2.5)
    ]
    assert "# at 1.2 s by hand: cut T02\n" in file.read_text()


def test_a_fault_of_the_schedule_that_was_ended_by_hand_is_written_as_long_as_it_was_on(tmp_path: Path) -> None:
    """So that what was then done to the same till by hand does not overlap with it."""
    path = SCENARIOS / "smoke.toml"
    scenario = load_scenario(path, faults=KnownFaults(), profiles=tuple(PROFILES))
    slow = FaultPlan(kind="latency", targets=("T02",), at_s=1.0, for_s=6.0)
    cut = FaultPlan(kind="cut", targets=("T02",), at_s=2.46, for_s=5.0, by_hand=True)
    plan, record = carried(slow, at_s=1.06, for_s=6.0)
    ended = (plan, replace(record, ended_ms=STARTED_MS + 2449))
    file = tmp_path / "as-run.toml"
    record_scenario(
        file, path=path, overrides=Overrides(), scenario=scenario, started_ms=STARTED_MS, interventions=(),
        carried_out=[ended, carried(cut, at_s=2.46, for_s=1.5)],
    )  # fmt: skip
    after = load_scenario(file, faults=KnownFaults(), profiles=tuple(PROFILES))
    assert [(plan.kind, plan.at_s, plan.for_s) for plan in after.faults] == [
        ("latency", 1.1, 1.3), ("cut", 2.5, 1.5),
    ]  # fmt: skip


def test_what_can_not_be_run_again_is_said(tmp_path: Path) -> None:
    """Two cuts that overlap on one link would be lifted by the first."""
    path = SCENARIOS / "smoke.toml"
    scenario = load_scenario(path, faults=KnownFaults(), profiles=tuple(PROFILES))
    cut = FaultPlan(kind="cut", targets=("T01",), at_s=1.0, for_s=3.0)
    with pytest.raises(ScenarioInvalid, match="overlap on the link of T01"):
        record_scenario(
            tmp_path / "x.toml", path=path, overrides=Overrides(), scenario=scenario, started_ms=STARTED_MS,
            carried_out=[carried(cut, at_s=1, for_s=3), carried(cut, at_s=2, for_s=3)], interventions=(),
        )  # fmt: skip
