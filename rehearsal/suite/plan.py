"""A suite file as values: every run of every combination, checked before the first one starts."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from chaos.profiles import PROFILES
from rehearsal.options import SCENARIOS, Options, scenario_path
from rehearsal.plan.lines import key_lines
from rehearsal.plan.loader import ScenarioInvalid
from rehearsal.plan.scenario import Scenario
from rehearsal.plan.table import Problems, TableReader, closest, shown
from rehearsal.plan.threshold import Threshold, ThresholdInvalid, parse_threshold
from rehearsal.running import read_scenario

LOAD_KINDS = ("steady", "ramp", "spike", "soak")
CAPACITY_OF = ("till", "server")
WINDOW_FIGURES = ("sale.p50", "sale.p99", "sale.max", "sale.refused", "sale.unknown", "sync.lag.p99")
AROUND_S = 30.0  # staging, draining, judging


class SuiteInvalid(Exception):
    """A suite that can't be used; the message has one line for each problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteLoad:
    """A load by name: per till `rate` a second, for so long; a ramp and a spike go `to` another rate."""

    name: str
    kind: str
    rate: float
    for_s: float
    to: float = 0.0
    at_s: float = 0.0
    spike_for_s: float = 0.0

    def values(self) -> list[tuple[str, str]]:
        """Return the load as values that a scenario file takes."""
        found = [
            ("load.rate", f"{self.rate}"),
            ("load.duration", f"{self.for_s}"),
            ("stages.0.for", f"{self.for_s}"),
        ]
        shape = {"steady": "", "soak": ""}.get(self.kind, f'kind = "{self.kind}", to = {self.to}')
        if self.kind == "spike":
            shape += f", at = {self.at_s}, for = {self.spike_for_s}"
        return [*found, ("load.shape", f"{{ {shape} }}")] if shape else found


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityPlan:
    """What a ramp is to find: at which rate one of `until` breaks, and how much is asked for at least."""

    of: str
    until: tuple[Threshold, ...]
    at_least: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One run of a suite. `path` and `options` are what `tillproof run` would be told."""

    name: str
    path: Path
    options: Options
    scenario: Scenario
    load: SuiteLoad
    capacity: CapacityPlan | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A whole suite."""

    name: str
    title: str
    runs: tuple[Planned, ...]

    @property
    def about_s(self) -> float:
        """Seconds that it will take, roughly."""
        return sum(run.scenario.load.duration_s + AROUND_S for run in self.runs)


def load_suite(path: Path, *, reports: Path) -> Suite:
    """Read and check a suite and every scenario in it. Raises SuiteInvalid."""
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteInvalid(f"{path}: can't be read: {error}") from error
    except ValueError as error:  # tomllib's own, or Python's for a number of too many digits
        raise SuiteInvalid(f"{path.name}: not TOML: {error}") from error
    problems = Problems(path.name, key_lines(text))
    root = TableReader(data, (), problems)
    title, seed = root.text("title"), root.integer("seed", 1, low=0, high=2**63 - 1)
    loads = _loads(root.table("loads"), data.get("loads"))
    runs = [
        run
        for table in root.tables("runs")
        for run in _combinations(table, loads, seed=seed, folder=path.parent, reports=reports)
    ]
    root.done()
    if not runs and not problems.found:
        root.wrong("runs", "at least one [[runs]] is needed")
    if problems.found:
        raise SuiteInvalid("\n".join(problems.found))
    return Suite(name=path.stem, title=title, runs=tuple(runs))


def _loads(table: TableReader, data: Any) -> dict[str, SuiteLoad]:
    names = list(data) if isinstance(data, dict) else []
    found = {name: _load(name, table.table(name)) for name in names}
    table.done()
    return found


def _load(name: str, table: TableReader) -> SuiteLoad:
    kind = table.text("kind", choices=LOAD_KINDS)
    rate, for_s = table.number("rate", low=0.01, high=1000), table.seconds("for", low=5)
    to = table.number("to", low=0.01, high=1000) if kind in ("ramp", "spike") else 0.0
    at_s = table.seconds("at") if kind == "spike" else 0.0
    spike_for_s = table.seconds("spike_for", low=0.1) if kind == "spike" else 0.0
    table.done()
    return SuiteLoad(name=name, kind=kind, rate=rate, for_s=for_s, to=to, at_s=at_s, spike_for_s=spike_for_s)


def _combinations(
    table: TableReader, loads: dict[str, SuiteLoad], *, seed: int, folder: Path, reports: Path
) -> Iterator[Planned]:
    """Yield scenarios x profiles x loads of one [[runs]]."""
    name = table.text("name")
    scenarios = _names(table, "scenarios")
    profiles = table.strings("profiles", ("site-1g-1.80",), choices=tuple(PROFILES))
    wanted = _names(table, "loads")
    tills = table.integer("tills", low=1, high=99) if table.has("tills") else None
    values = _values(table)
    capacity = _capacity(table.table("capacity"), wanted=table.has("capacity"))
    table.done()
    for load_name in wanted:
        if load_name not in loads:
            known = ", ".join(loads) or "none"
            table.wrong("loads", f"no load {load_name!r}; there are {known}{closest(load_name, loads)}")
        elif capacity is not None and loads[load_name].kind != "ramp":
            table.wrong("capacity", f"a capacity needs a ramp, and {load_name} is {loads[load_name].kind}")
    for scenario in scenarios:
        path = _path(scenario, folder)
        if path is None:
            table.wrong("scenarios", f"there is no scenario {scenario!r}; see `tillproof list`")
            continue
        if (stages := _stages(path)) != 1:
            table.wrong("scenarios", f"{path.stem} has {stages} stages; a load fits scenarios of one")
            continue
        for profile in profiles:
            for load in (loads[one] for one in wanted if one in loads):
                options = Options(
                    scenario=scenario if path.parent == SCENARIOS else str(path), seed=seed, tills=tills,
                    profile=profile, reports=reports, values=(*load.values(), *values),
                )  # fmt: skip
                yield from _planned(table, name, path, options=options, load=load, capacity=capacity)


def _planned(
    table: TableReader,
    name: str,
    path: Path,
    *,
    options: Options,
    load: SuiteLoad,
    capacity: CapacityPlan | None,
) -> Iterator[Planned]:
    try:
        scenario = read_scenario(path, options)
    except ScenarioInvalid as error:
        for line in str(error).splitlines():
            table.problems.add(table.path, f"with load {load.name}: {line}")
        return
    yield Planned(name=name, path=path, options=options, scenario=scenario, load=load, capacity=capacity)


def _capacity(table: TableReader, *, wanted: bool) -> CapacityPlan | None:
    if not wanted:
        return None
    until = []
    for rule in table.strings("until"):
        try:
            threshold = parse_threshold(rule)
        except ThresholdInvalid as error:
            table.wrong("until", str(error))
            continue
        if threshold.figure not in WINDOW_FIGURES:
            table.wrong(
                "until", f"{threshold.figure} can't be told second by second; {', '.join(WINDOW_FIGURES)} can"
            )
        until.append(threshold)
    plan = CapacityPlan(
        of=table.text("of", choices=CAPACITY_OF), until=tuple(until),
        at_least=table.number("at_least", 0.0, low=0, high=10**6),
    )  # fmt: skip
    if not until:
        table.wrong("until", 'is empty; write e.g. ["sale.p99 <= 500ms"]')
    table.done()
    return plan


def _values(table: TableReader) -> tuple[tuple[str, str], ...]:
    """Return `thresholds` and `set` as values of the scenario."""
    values = []
    if table.has("thresholds"):
        rules = ", ".join(map(_quoted, table.strings("thresholds")))
        values.append(("thresholds", f"[{rules}]"))
    given = table.raw("set") or {}
    if not isinstance(given, dict):
        table.wrong("set", 'not a table; write { "catalogue.products" = 5000 }')
        given = {}
    for key, value in given.items():
        if isinstance(value, bool):
            values.append((key, str(value).lower()))
        elif isinstance(value, int) and abs(value) >= 2**63:
            table.wrong("set", f"{key} = {shown(value)} is out of range")
        elif isinstance(value, int | float):
            values.append((key, str(value)))
        elif isinstance(value, str):
            values.append((key, _quoted(value)))
        else:
            table.wrong("set", f"{key} = {shown(value)} is neither a number, a text nor true or false")
    return tuple(values)


def _quoted(text: str) -> str:
    """Return a text as TOML writes it; JSON's escapes are TOML's as well."""
    return msgspec.json.encode(text).decode()


def _names(table: TableReader, key: str) -> tuple[str, ...]:
    found = table.strings(key)
    if not found:
        table.wrong(key, "at least one is needed")
    return found


def _stages(path: Path) -> int:
    """Return how many stages a scenario's file has; 1 for a file that the scenario's own reader will refuse."""
    try:
        stages = tomllib.loads(path.read_text(encoding="utf-8")).get("stages", ())
    except (OSError, ValueError):
        return 1
    return len(stages) if isinstance(stages, list) else 1


def _path(scenario: str, folder: Path) -> Path | None:
    """Return a scenario's file: one of Tillproof's own, or one by its path from the suite file."""
    if (SCENARIOS / f"{scenario}.toml").exists():
        return scenario_path(scenario)
    path = folder / scenario
    return path if path.suffix == ".toml" and path.is_file() else None
