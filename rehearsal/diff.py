"""What differs between two runs, as text: read from their verdict.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NOTABLE = 0.1  # figures that moved by less than this share are left out


class NotARun(Exception):
    """A folder without a readable verdict.json."""


def differences(run_a: Path, run_b: Path) -> Iterator[str]:
    """Yield lines: what was asked differently, then outcomes, checks, thresholds and figures; raises NotARun."""
    a, b = _verdict(run_a), _verdict(run_b)
    yield f"A  {a.get('run_id')}: {a.get('verdict')}, {a.get('why')}"
    yield f"B  {b.get('run_id')}: {b.get('verdict')}, {b.get('why')}"
    found = list(_changed(a, b))
    yield from found or ["no other difference of note"]


def _changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    for key in ("scenario", "seed", "commit"):
        if a.get(key) != b.get(key):
            yield f"{key}: {a.get(key)} -> {b.get(key)}"
    yield from _mapping("fleet", a.get("fleet", {}), b.get("fleet", {}))
    yield from _named("check", "name", "verdict", a.get("checks", []), b.get("checks", []))
    yield from _named("threshold", "rule", "measured", a.get("thresholds", []), b.get("thresholds", []))
    yield from _mapping("sales", a.get("sales", {}), b.get("sales", {}))
    yield from _mapping("figure", a.get("figures", {}), b.get("figures", {}))


def _named(what: str, name: str, value: str, a: list[dict[str, Any]], b: list[dict[str, Any]]) -> Iterator[str]:
    left = {item[name]: item.get(value) for item in a}
    right = {item[name]: item.get(value) for item in b}
    yield from _mapping(what, left, right)


def _mapping(what: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys([*a, *b]):
        left, right = a.get(key, "absent"), b.get(key, "absent")
        if isinstance(left, dict) and isinstance(right, dict):
            yield from _mapping(f"{what} {key}", left, right)
        elif left != right and not _close(left, right):
            yield f"{what} {key}: {_shown(left)} -> {_shown(right)}"


def _close(left: object, right: object) -> bool:
    """Say whether two measured figures are as good as equal; whole numbers are counted, not measured."""
    if not isinstance(left, float) or not isinstance(right, float):
        return False
    return abs(left - right) <= NOTABLE * max(abs(left), abs(right))


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _verdict(folder: Path) -> dict[str, Any]:
    path = folder / "verdict.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotARun(f"{folder} has no readable verdict.json: {error}") from error
    if not isinstance(found, dict):
        raise NotARun(f"{path} is not a verdict")
    return found
