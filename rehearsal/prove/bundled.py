"""Every bundled scenario as it is shipped: without a bug it must be GO, or the judge convicts the innocent."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from rehearsal.options import SCENARIOS, scenario_names
from rehearsal.prove.processes import run_clean
from rehearsal.prove.row import Part, Result, Row


def bundled_part(reports: Path) -> Part:
    """Return the scenarios as rows."""
    rows = tuple(Row(id=name, title=_title(name), fault="its own", expected="GO") for name in scenario_names())
    return Part(name="scenarios", rows=rows, prove=lambda wanted: _prove(wanted, reports))


def _prove(rows: tuple[Row, ...], reports: Path) -> Iterator[Result]:
    for row in rows:
        yield run_clean(row, SCENARIOS / f"{row.id}.toml", reports)


def _title(name: str) -> str:
    with (SCENARIOS / f"{name}.toml").open("rb") as file:
        return str(tomllib.load(file).get("title", ""))
