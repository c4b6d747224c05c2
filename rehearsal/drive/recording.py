"""A run written back as a scenario: what it was asked for, with the faults as they really came, by hand or not.

Keeps: the file is read again before it counts as written. Faults keep kinds and parameters, their targets are
named, and their times are those at which they began. What a scenario can't say (notes, manual syncs) is a comment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chaos.profiles import PROFILES
from rehearsal.drive.faults import KnownFaults
from rehearsal.model import FaultRecord, Intervention
from rehearsal.plan.loader import Overrides, load_scenario, read_document
from rehearsal.plan.scenario import FaultPlan, Scenario
from rehearsal.staging.configs import toml_value

AS_RUN = "as-run.toml"
Carried = Sequence[tuple[FaultPlan, FaultRecord]]


def record_scenario(
    file: Path, *, path: Path | None, overrides: Overrides, scenario: Scenario, carried_out: Carried,
    interventions: Sequence[Intervention], started_ms: int,
) -> None:  # fmt: skip
    """Write the scenario that a run became; raises ScenarioInvalid when it can't be read again, OSError."""
    data: dict[str, Any] = read_document(path, overrides) if path is not None else {}
    data["seed"] = scenario.seed
    data["faults"] = [
        _fault(plan, record, started_ms, scenario.load.duration_s) for plan, record in carried_out if record.ran
    ]
    if not data["faults"]:
        del data["faults"]
    lines = [f"# As it was run, from {scenario.name}."]
    lines += [f"# {_said(done)}" for done in interventions]
    file.write_text("\n".join([*lines, *_tables(data, ()), ""]), encoding="utf-8")
    load_scenario(file, faults=KnownFaults(), profiles=tuple(PROFILES))


def _fault(plan: FaultPlan, record: FaultRecord, started_ms: int, duration_s: float) -> dict[str, Any]:
    at_s = plan.at_s if record.started_ms is None else max(0, record.started_ms - started_ms) / 1000
    at_s = round(min(at_s, duration_s), 1)
    for_s = round(min(_lasted_s(record), duration_s - at_s), 1)
    return {
        "kind": plan.kind, "targets": list(plan.targets), "at": f"{at_s:g}s", "for": f"{for_s:g}s", **plan.params,
    }  # fmt: skip


def _lasted_s(record: FaultRecord) -> float:
    """Return how long a fault was on: less than planned where it was ended by hand or by the end of the load."""
    if not record.for_s or record.started_ms is None or record.ended_ms is None:
        return record.for_s
    tenths = (record.ended_ms - record.started_ms) // 100  # down, so that what came next does not overlap
    return min(record.for_s, max(1, tenths) / 10)


def _said(done: Intervention) -> str:
    words = f"at {done.at_s:g} s by hand: {done.what} {', '.join(done.targets)} {done.text}"
    return " ".join(words.split())


def _tables(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """Return a table as lines: its values first, then the tables below it."""
    lines = [f"{_key(key)} = {toml_value(value)}" for key, value in table.items() if not _is_table(value)]
    for key, value in table.items():
        if isinstance(value, Mapping):
            name = ".".join(map(_key, (*path, key)))
            lines += ["", f"[{name}]", *_tables(value, (*path, key))]
        elif _is_table(value):
            name = ".".join(map(_key, (*path, key)))
            for item in value:
                lines += ["", f"[[{name}]]", *_tables(item, (*path, key))]
    return lines


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)
    )


def _key(name: str) -> str:
    return name if name.replace("-", "_").isidentifier() and name.isascii() else toml_value(name)
