"""Every bundled scenario as it is shipped: without a bug it must be GO, or the judge convicts the innocent."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from rehearsal.options import SCENARIOS, scenario_names
from rehearsal.prove.abreast import abreast
from rehearsal.prove.processes import Clean, job_of
from rehearsal.prove.row import Part, Result, Row

CONTAINERS_ONLY = frozenset({"memory-cap"})


def bundled_part(reports: Path, processors: int) -> Part:
    """Return the scenarios as rows; their runs are kept in `reports`."""
    rows = tuple(Row(id=name, title=_title(name), fault="its own", expected="GO") for name in scenario_names())
    return Part(name="scenarios", rows=rows, prove=lambda wanted: _prove(wanted, reports, processors))


def _prove(rows: tuple[Row, ...], reports: Path, processors: int) -> Iterator[Result]:
    jobs = [job_of(row.id, Clean(row=row, path=SCENARIOS / f"{row.id}.toml", fleet=_fleet(row))) for row in rows]
    for _, result in abreast(jobs, reports, processors=processors):
        yield result


def _fleet(row: Row) -> str:
    return "docker" if row.id in CONTAINERS_ONLY else "process"


def _title(name: str) -> str:
    with (SCENARIOS / f"{name}.toml").open("rb") as file:
        return str(tomllib.load(file).get("title", ""))
