"""Every bundled scenario as it is shipped: without a bug it must be GO, or the judge convicts the innocent."""

from __future__ import annotations

import tomllib
from operator import itemgetter

from rehearsal.options import SCENARIOS, scenario_names
from rehearsal.prove.abreast import Job
from rehearsal.prove.processes import Clean, job_of
from rehearsal.prove.rehearsed import Asked
from rehearsal.prove.row import Row

CONTAINERS_ONLY = frozenset({"memory-cap"})


def bundled_rows() -> list[Asked]:
    """Return the scenarios as rows."""
    rows = [Row(id=name, title=_title(name), fault="its own", expected="GO") for name in scenario_names()]
    return [Asked(row=row, jobs=(bundled_job(row.id, row),), answer=itemgetter(0)) for row in rows]


def bundled_job(name: str, row: Row) -> Job:
    """Return the run of a bundled scenario for a row; under its name it serves every row that needs it."""
    return job_of(name, Clean(row=row, path=SCENARIOS / f"{name}.toml", fleet=_fleet(name)))


def _fleet(name: str) -> str:
    return "docker" if name in CONTAINERS_ONLY else "process"


def _title(name: str) -> str:
    with (SCENARIOS / f"{name}.toml").open("rb") as file:
        return str(tomllib.load(file).get("title", ""))
