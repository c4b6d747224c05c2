"""Reading a scenario file: nothing starts before every value in it has been checked."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rehearsal.plan.lines import key_lines
from rehearsal.plan.scenario import CLAIMS, Scenario
from rehearsal.plan.sections import (
    FaultKinds,
    backoffice_of,
    catalogue_of,
    drain_of,
    fault_of,
    fleet_of,
    flip_of,
    load_of,
    real_of,
    stage_of,
    sync_of,
    thresholds_of,
)
from rehearsal.plan.table import Problems, TableReader


class ScenarioInvalid(Exception):
    """A scenario that can't be used; the message has one line for each problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What the command line changes. `values` are dotted keys with TOML values, as `--set` takes them."""

    tills: int | None = None
    seed: int | None = None
    profile: str | None = None
    values: tuple[tuple[str, str], ...] = ()


def read_document(path: Path, overrides: Overrides) -> dict[str, Any]:
    """Return a scenario's tables with the command line's changes, unchecked; raises ScenarioInvalid, OSError."""
    text = path.read_text(encoding="utf-8")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioInvalid(f"{path.name}: not TOML: {error}") from error
    problems = Problems(path.name, key_lines(text))
    _override(data, overrides, problems)
    if problems.found:
        raise ScenarioInvalid("\n".join(problems.found))
    return data


def load_scenario(
    path: Path, *, faults: FaultKinds, profiles: Sequence[str], overrides: Overrides = Overrides()
) -> Scenario:
    """Read and check a scenario file; raises ScenarioInvalid, OSError."""
    text = path.read_text(encoding="utf-8")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioInvalid(f"{path.name}: not TOML: {error}") from error
    problems = Problems(path.name, key_lines(text))
    _override(data, overrides, problems)
    scenario = _scenario(path.stem, TableReader(data, (), problems), faults, profiles)
    if problems.found:
        raise ScenarioInvalid("\n".join(problems.found))
    return scenario


def _override(data: dict[str, Any], overrides: Overrides, problems: Problems) -> None:
    fixed = {"fleet.tills": overrides.tills, "seed": overrides.seed, "fleet.profile": overrides.profile}
    values: list[tuple[str, Any]] = [(key, value) for key, value in fixed.items() if value is not None]
    for key, raw in overrides.values:
        try:
            values.append((key, tomllib.loads(f"value = {raw}")["value"]))
        except ValueError:
            values.append((key, raw))
    for key, value in values:
        *parents, last = key.split(".")
        table: Any = data
        for parent in parents:
            if isinstance(table, list) and parent.isdecimal() and int(parent) < len(table):
                table = table[int(parent)]
            elif isinstance(table, dict):
                table = table.setdefault(parent, {})
            else:
                table = None
        if not isinstance(table, dict):
            problems.add((), f"--set {key}: there is no such table")
        else:
            table[last] = value


def _scenario(name: str, root: TableReader, faults: FaultKinds, profiles: Sequence[str]) -> Scenario:
    seed = root.integer("seed", 1, low=0, high=2**63 - 1)
    fleet = fleet_of(root.table("fleet"), profiles)
    load = load_of(root.table("load"))
    chooser = random.Random(f"{seed}:targets")  # noqa: S311 - reproducible on purpose
    scenario = Scenario(
        name=name,
        title=root.text("title"),
        seed=seed,
        claims=root.strings("claims", choices=CLAIMS),
        thresholds=thresholds_of(root),
        fleet=fleet,
        load=load,
        stages=tuple(stage_of(item, fleet, load) for item in root.tables("stages")),
        faults=tuple(fault_of(item, fleet, load, faults, chooser) for item in root.tables("faults")),
        flips=tuple(flip_of(item, load) for item in root.tables("flips")),
        sync=sync_of(root.table("sync"), fleet),
        catalogue=catalogue_of(root.table("catalogue")),
        backoffice=backoffice_of(root.table("backoffice")),
        drain=drain_of(root.table("drain")),
        real=real_of(root.table("real")),
        stale_bound_s=root.seconds("stale_bound", 30.0, low=0.1),
        currency=root.text("currency", "EUR"),
    )
    root.done()
    _whole(scenario, root)
    _in_turn(scenario, root)
    _overlaps(scenario, root, faults)
    return scenario


def _whole(scenario: Scenario, root: TableReader) -> None:
    """Note what no single key can show."""
    if not scenario.claims:
        root.wrong("claims", f"a scenario claims something; known: {', '.join(CLAIMS)}")
    if not scenario.stages:
        root.wrong("stages", "at least one [[stages]] is needed")
    if "failover" in scenario.claims and not scenario.fleet.preproduction:
        root.wrong("claims", "failover can't be claimed without preproduction = true in [fleet]")
    if scenario.flips and scenario.catalogue.products < max(flip.products for flip in scenario.flips):
        root.wrong("flips", "a flip changes more products than the catalogue has")
    names = [stage.name for stage in scenario.stages]
    for name in sorted({name for name in names if names.count(name) > 1}):
        root.wrong("stages", f"stage {name!r} is there twice")
    if scenario.backoffice.rate_per_s > 0 and not scenario.backoffice.clerks:
        root.wrong("backoffice", "edits need clerks; set clerks to 1 or more")


def _in_turn(scenario: Scenario, root: TableReader) -> None:
    """Note every stage that is to begin before the one above it ends: stages are run one after another."""
    for index, (before, stage) in enumerate(pairwise(scenario.stages), start=1):
        if stage.at_s < before.ends_s - 1e-9:
            root.problems.add(
                ("stages", index, "at"),
                f"stage {stage.name!r} begins at {stage.at_s:g} s, before stage {before.name!r} above it ends at"
                f" {before.ends_s:g} s; stages follow one another, in the order of the file",
            )


def _overlaps(scenario: Scenario, root: TableReader, faults: FaultKinds) -> None:
    """Note two faults on one till's link at the same time: the first to be lifted would lift both."""
    on_link = [plan for plan in scenario.faults if plan.kind in faults.kinds() and faults.on_link(plan.kind)]
    for index, first in enumerate(on_link):
        for second in on_link[index + 1 :]:
            shared = sorted(set(first.targets) & set(second.targets))
            apart = first.at_s + first.for_s <= second.at_s or second.at_s + second.for_s <= first.at_s
            if shared and not apart:
                which = f"{first.kind} at {first.at_s:g} s and {second.kind} at {second.at_s:g} s"
                root.wrong("faults", f"{which} overlap on the link of {', '.join(shared)}")
