"""Tillproof's own scenarios, as far as a list tells of them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass

from chaos.faults.catalogue import FAULTS
from rehearsal.options import SCENARIOS, scenario_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """A scenario that comes with Tillproof. `duration` as it is written: "30s"; `tills` and `faults` counted.

    `containers_only`: one of its faults can be done by no other fleet.
    """

    name: str
    title: str
    duration: str
    tills: int
    faults: int
    containers_only: bool


def shipped(name: str) -> Shipped:
    """Return what a scenario's file says."""
    with (SCENARIOS / f"{name}.toml").open("rb") as file:
        data = tomllib.load(file)
    faults = data.get("faults", [])
    return Shipped(
        name=name,
        title=str(data.get("title", "")),
        duration=str(data.get("load", {}).get("duration", "")),
        tills=int(data.get("fleet", {}).get("tills", 0)),
        faults=len(faults),
        containers_only=any(FAULTS[fault["kind"]].containers_only for fault in faults),
    )


def all_shipped() -> tuple[Shipped, ...]:
    """Return all of them, by name."""
    return tuple(shipped(name) for name in scenario_names())
