"""`tillproof run SCENARIO --matrix`: the same scenario and seed on every profile, or on both till databases.

One run after the other, for two shops on one machine would disturb each other; then one table of all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from chaos.errors import ChaosError
from chaos.profiles import PROFILES
from rehearsal.conduct import CouldNotRun, Interrupted, conduct
from rehearsal.drive.timeline import NoRealTime
from rehearsal.model import EXIT_CODE, EXIT_COULD_NOT_RUN, Outcome
from rehearsal.options import Options
from rehearsal.own_masters import MastersInvalid
from rehearsal.plan.loader import ScenarioInvalid
from rehearsal.progress import Progress
from rehearsal.report.side_by_side import Column, as_page, as_text, column
from rehearsal.report.text import visible
from rehearsal.running import read_scenario

WORST_FIRST = (EXIT_CODE[Outcome.NO_GO], EXIT_COULD_NOT_RUN, EXIT_CODE[Outcome.INCONCLUSIVE])


def variants(kind: str, options: Options) -> Mapping[str, Options]:
    """Return name -> options of each run; `kind` is profiles or databases."""
    if kind == "databases":
        return {
            name: replace(options, values=(*options.values, ("fleet.till_database", name)))
            for name in ("sqlite", "postgresql")
        }
    return {name: replace(options, profile=name) for name in PROFILES}


def run_matrix(path: Path, options: Options, kind: str) -> int:
    """Run all variants, print and write the table, and return the worst exit code.

    Ctrl-C ends it after the run that it ended; the table has what was run until then.
    """
    progress, columns = Progress(), []
    for name, one in variants(kind, options).items():
        progress.line(f"== {name}")
        try:
            columns.append(_run(name, path, one, progress))
        except (Interrupted, KeyboardInterrupt) as error:
            progress.still()
            why = str(error) or "interrupted"
            progress.line(f"{name} could not run: {why}")
            columns.append(column(name, None, why))
            break
        record = columns[-1].record
        if record is not None and record.meta.interrupted:
            break
    progress.still()
    for line in as_text(columns).splitlines():
        progress.line(line)
    folder = options.reports / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-matrix-{path.stem}"
    try:
        folder.mkdir(parents=True)
        (folder / "matrix.txt").write_text(as_text(columns), encoding="utf-8")
        page = as_page(f"{path.stem} on {len(columns)} {kind}", columns)
        (folder / "matrix.html").write_text(page, encoding="utf-8")
    except OSError as error:
        progress.line(f"the table could not be written: {error}")
        return EXIT_COULD_NOT_RUN
    progress.line(f"Table: {folder / 'matrix.html'}")
    return worst(columns)


def worst(columns: list[Column]) -> int:
    """Return the exit code of the worst run, a NO-GO before what could not run; a GO needs every run's."""
    codes = {
        EXIT_COULD_NOT_RUN if one.record is None else EXIT_CODE[one.record.judgement.verdict] for one in columns
    }
    return next((code for code in WORST_FIRST if code in codes), 0)


def _run(name: str, path: Path, options: Options, progress: Progress) -> Column:
    """Run one variant; what could not be run is a column of dashes. Raises Interrupted."""
    try:
        record = conduct(read_scenario(path, options), options, progress)
    except Interrupted:
        raise
    except (ScenarioInvalid, CouldNotRun, NoRealTime, MastersInvalid, ChaosError, OSError) as error:
        progress.still()
        progress.line(f"{name} could not run: {error}")
        return column(name, None, str(error))
    progress.line(f"{record.judgement.verdict}: {visible(record.judgement.why)}")
    return column(name, record)
