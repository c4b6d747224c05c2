"""Every bundled scenario as it is shipped: without a bug it must be GO, or the judge convicts the innocent."""

from __future__ import annotations

from operator import itemgetter

from rehearsal.options import SCENARIOS
from rehearsal.prove.abreast import Job
from rehearsal.prove.processes import Clean, job_of
from rehearsal.prove.rehearsed import Asked
from rehearsal.prove.row import Row
from rehearsal.shipped import all_shipped, shipped


def bundled_rows() -> list[Asked]:
    """Return the scenarios as rows."""
    rows = [Row(id=one.name, title=one.title, fault="its own", expected="GO") for one in all_shipped()]
    return [Asked(row=row, jobs=(bundled_job(row.id, row),), answer=itemgetter(0)) for row in rows]


def bundled_job(name: str, row: Row) -> Job:
    """Return the run of a bundled scenario for a row; under its name it serves every row that needs it."""
    fleet = "docker" if shipped(name).containers_only else "process"
    return job_of(name, Clean(row=row, path=SCENARIOS / f"{name}.toml", fleet=fleet))
