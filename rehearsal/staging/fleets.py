"""Which fleet a run gets: the one asked for, or the best that this machine has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chaos.errors import CannotRun
from chaos.fleet.base import Fleet
from chaos.fleet.docker.fleet import DockerFleet
from chaos.fleet.docker.readiness import obstacle
from chaos.fleet.plan import NodePlan
from chaos.fleet.process import ProcessFleet
from rehearsal.plan.scenario import Scenario


def open_fleet(
    asked: str, scenario: Scenario, run_dir: Path, *, rewrite: Callable[[NodePlan], NodePlan] | None = None
) -> tuple[Fleet, str]:
    """Return a fleet and why it is this one; raises chaos.errors.ChaosError where the one asked for can't be had.

    `auto` takes containers where an engine answers and has the images, and processes elsewhere. Only processes
    can be rewritten.
    """
    seed, engine = scenario.seed, scenario.fleet.fault_engine
    if rewrite is not None:
        if asked == "docker":
            raise CannotRun("a planted bug needs the process fleet")
        return ProcessFleet(
            run_dir=run_dir, seed=seed, engine=engine, rewrite=rewrite
        ), "only it takes planted bugs"
    if asked == "docker":
        return DockerFleet(run_dir=run_dir, seed=seed, engine=engine), "as asked for"
    if asked == "process":
        return ProcessFleet(run_dir=run_dir, seed=seed, engine=engine), "as asked for"
    missing = obstacle()
    if missing:
        return ProcessFleet(run_dir=run_dir, seed=seed, engine=engine), f"no containers: {missing}"
    return DockerFleet(run_dir=run_dir, seed=seed, engine=engine), "a Docker Engine answers"
