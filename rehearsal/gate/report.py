"""What a gate prints, and reports/gate/gate.json beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from rehearsal.gate.counted import Counted
from rehearsal.gate.decide import Found
from rehearsal.gate.paired import Decision
from rehearsal.model import Outcome

SCHEMA = 1


def counted_lines(counted: Counted) -> list[str]:
    """Return the deterministic tier as text."""
    if not counted.changed:
        return [f"counted: {counted.figures} figures are exactly those of gate.lock.toml"]
    lines = [f"counted: {len(counted.changed)} of {counted.figures} figures are not those of gate.lock.toml"]
    lines += [f"  {change.text}" for change in counted.changed]
    lines += [f"  (made with {text})" for text in counted.versions]
    return [*lines, "  if that is intended: tillproof gate --update, and commit the diff"]


def found_line(found: Found) -> str:
    """Return one figure of the paired tier as text."""
    if math.isnan(found.ratio):
        return f"  {found.name:<24} {found.answer}: {found.why}"
    bounds = f"{_times(found.low)} to {_times(found.high)}"
    return (
        f"  {found.name:<24} {_times(found.ratio)} of the base ({bounds}, {found.pairs} pairs; control "
        f"{_times(found.control_ratio)})  {found.answer}: {found.why}"
    )


def paired_lines(decision: Decision) -> list[str]:
    """Return the paired tier as text."""
    lines = [f"timed: {decision.pairs} pairs of blocks"]
    return [*lines, *(found_line(found) for found in decision.found)]


def write_json(
    path: Path,
    *,
    outcome: Outcome,
    why: str,
    counted: Counted | None,
    decision: Decision | None,
    facts: dict[str, Any],
) -> None:
    """Write everything a gate found, the blocks' seconds included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = {
        "schema": SCHEMA, "outcome": outcome.value, "why": why, **facts,
        "counted": None if counted is None else {
            "figures": counted.figures, "versions": counted.versions,
            "changed": [{"name": c.name, "locked": c.locked, "counted": c.counted} for c in counted.changed],
        },
        "timed": None if decision is None else {
            "pairs": decision.pairs, "out_of_time": decision.out_of_time,
            "figures": _figures(decision.found),
            "blocks": [{"side": side.value, "seconds": dict(found)} for side, found in decision.blocks],
        },
    }  # fmt: skip
    path.write_bytes(msgspec.json.format(msgspec.json.encode(data), indent=2) + b"\n")


def _figures(found: Iterable[Found]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name, "answer": one.answer.value, "why": one.why, "pairs": one.pairs,
            "ratio": _finite(one.ratio), "low": _finite(one.low), "high": _finite(one.high),
            "p_slower": one.p_slower, "control_ratio": _finite(one.control_ratio), "control_ok": one.control_ok,
        }
        for one in found
    ]  # fmt: skip


def _finite(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None


def _times(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "unknown"
