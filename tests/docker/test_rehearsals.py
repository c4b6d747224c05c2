"""Whole rehearsals on containers."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import docker
from chaos.fleet.docker import labels
from tests.e2e.conftest import tillproof

pytestmark = pytest.mark.docker
UNHURRIED = ("load.refunds=0", "load.voids=0", "backoffice.rate=0")


def run(reports: Path, scenario: str, *words: str) -> Path:
    """Run a scenario and return its folder."""
    done = tillproof("run", scenario, *words, "--reports", str(reports))
    assert (reports / "latest").exists(), done.output
    return (reports / "latest").resolve()


def meta(folder: Path) -> dict[str, Any]:
    """Return a run's facts."""
    return dict(json.loads((folder / "evidence" / "meta.json").read_text()))


def unsound(folder: Path) -> list[str]:
    """Return the checks that do not acquit; how busy this machine was is none of the fleet's business."""
    found = json.loads((folder / "verdict.json").read_text())["checks"]
    return [
        f"{one['name']}: {one['detail']}"
        for one in found
        if one["verdict"] != "VALID" and one["name"] not in ("validity", "experience")
    ]


def baskets(folder: Path) -> list[str]:
    """Return what cashiers asked for, in an order of its own; only repeats follow from how fast answers came."""
    asked = []
    with (folder / "evidence" / "history.jsonl").open() as lines:
        for line in lines:
            row = json.loads(line)
            if row["type"] == "invoke" and row["f"] == "sale" and not row.get("repeat"):
                asked.append(json.dumps([row["till"], row["f"], row["basket"]], sort_keys=True))
    return sorted(asked)


def schedule(folder: Path) -> list[tuple[Any, ...]]:
    """Return the faults as they were planned."""
    return [
        (one["kind"], one["targets"], one["at_s"], one["for_s"], one["params"]) for one in meta(folder)["faults"]
    ]


def settlement(folder: Path) -> list[list[str]]:
    """Return the server's settlement."""
    with (folder / "evidence" / "server" / "settlement.csv").open(newline="") as file:
        return sorted(csv.reader(file))


@pytest.fixture(scope="module")
def smoke(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The shortest scenario on containers."""
    yield run(tmp_path_factory.mktemp("docker"), "smoke", "--fleet", "docker")


def test_a_rehearsal_on_containers_acquits_and_leaves_nothing(engine: docker.DockerClient, smoke: Path) -> None:
    """Through real Toxiproxy, capped as the kernel counts it."""
    facts = meta(smoke)
    assert unsound(smoke) == []
    assert (facts["fleet"]["kind"], facts["fleet"]["fault_engine"]) == ("docker", "toxiproxy")
    assert facts["fleet"]["caps_enforced"] is True
    tills = [machine for machine in facts["machines"] if machine["node"].startswith("T")]
    assert [machine["memory_limit_mib"] for machine in tills] == [1024, 1024]
    assert all(machine["cpu_limit_share"] == facts["fleet"]["till_cpu_share"] for machine in tills)
    assert all(machine["periods"] and machine["throttled_s"] is not None for machine in tills)
    assert all(fault["bit"] and fault["healed"] for fault in facts["faults"])
    mine = engine.containers.list(all=True, filters={"label": labels.MINE}, ignore_removed=True)
    assert [one.name for one in mine if labels.dead(one.labels)] == []


def test_one_seed_gives_the_same_baskets_faults_and_settlement_on_both_fleets(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    """To the cent: how tills are run decides nothing about what is sold.

    Without what follows from how fast answers come: which receipts are there to be given back, and on which side
    of a price edit a sale falls.
    """
    asked = [word for value in UNHURRIED for word in ("--set", value)]
    processes = run(tmp_path / "process", "smoke", "--fleet", "process", *asked)
    containers = run(tmp_path / "docker", "smoke", "--fleet", "docker", *asked)
    assert [meta(folder)["fleet"]["kind"] for folder in (processes, containers)] == ["process", "docker"]
    assert schedule(processes) == schedule(containers) != []
    assert baskets(processes) == baskets(containers) != []
    assert settlement(processes) == settlement(containers)
    assert len(settlement(processes)) > 1, "no more than the names of the columns"


def test_tills_on_postgresql_have_it_within_their_caps(engine: docker.DockerClient, tmp_path: Path) -> None:
    """The till's container holds both, and no other database serves tills."""
    folder = run(tmp_path, "smoke", "--fleet", "docker", "--set", "fleet.till_database=postgresql")
    facts = meta(folder)
    assert unsound(folder) == []
    assert facts["fleet"]["till_database"] == "postgresql"
    assert "tillpostgres" not in [machine["node"] for machine in facts["machines"]]


def test_a_till_killed_at_its_memory_cap_loses_nothing(engine: docker.DockerClient, tmp_path: Path) -> None:
    """The kernel kills it, the engine starts it again, and every receipt is there once."""
    folder = run(tmp_path, "memory-cap", "--fleet", "docker")
    facts = meta(folder)
    assert unsound(folder) == []
    assert {fault["kind"]: fault["bit"] for fault in facts["faults"]} == {"memory_hog": True, "unplug": True}
    claims = {one["name"]: one for one in json.loads((folder / "verdict.json").read_text())["claims"]}
    assert claims["offline"]["verdict"] == "VALID", claims["offline"]["why"]
    hit = next(machine for machine in facts["machines"] if machine["node"] == "T01")
    assert (hit["restarts"], hit["oom_kills"] >= 1) == (1, True)
