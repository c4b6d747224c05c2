"""Which fleet a run gets: the one asked for, or the best that this machine has."""

from __future__ import annotations

from pathlib import Path

from chaos.fleet.base import Fleet
from chaos.fleet.docker import readiness
from chaos.fleet.docker.fleet import DockerFleet
from chaos.fleet.process import ProcessFleet
from rehearsal.plan.scenario import Scenario


def open_fleet(asked: str, scenario: Scenario, run_dir: Path) -> tuple[Fleet, str]:
    """Return a fleet and why it is this one; raises chaos.errors.ChaosError where the one asked for can't be had.

    `auto` takes containers where an engine answers and has the images, and processes elsewhere.
    """
    why = "as asked for"
    if asked == "auto":
        obstacle = readiness.obstacle()
        asked, why = (
            ("process", f"no containers: {obstacle}") if obstacle else ("docker", "a Docker Engine answers")
        )
    made = DockerFleet if asked == "docker" else ProcessFleet
    return made(run_dir=run_dir, seed=scenario.seed, engine=scenario.fleet.fault_engine), why
