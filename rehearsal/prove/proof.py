"""A whole proof: its parts in order, the table, the folder and the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rehearsal.progress import Progress
from rehearsal.prove.bundled import bundled_part
from rehearsal.prove.judging import judge_part
from rehearsal.prove.processes import processes_part
from rehearsal.prove.row import Caught, Part, Result, exit_code, names_of
from rehearsal.prove.simulated import simulated_part
from rehearsal.prove.table import Table, summary, write

INTERRUPTED = "interrupted"


class NoSuchRow(ValueError):
    """A row was asked for that there is none of; the message lists those there are."""


def parts_of(wanted: frozenset[str], *, jobs: int, scenarios: bool, reports: Path) -> list[Part]:
    """Return what is to be proved; `wanted` holds names in capitals, empty: everything. Raises NoSuchRow."""
    parts = [simulated_part(jobs), judge_part(reports), processes_part(reports)]
    bundled = bundled_part(reports)
    if scenarios or wanted & {row.id.upper() for row in bundled.rows}:
        parts.append(bundled)
    rows = [row for part in parts for row in part.rows]
    unknown = sorted(wanted.difference(*map(names_of, rows)))
    if unknown:
        raise NoSuchRow(f"there is no {', '.join(unknown)}; there is {', '.join(row.id for row in rows)}")
    return [part for part in (part.only(wanted) for part in parts) if part.rows]


def prove_all(parts: Sequence[Part], progress: Progress, *, reports: Path, begun: datetime, commit: str) -> int:
    """Prove, print, write, and return the exit code; what Ctrl-C left out is "not run"."""
    table = Table(progress)
    table.head()
    rows = [row for part in parts for row in part.rows]
    try:
        for part in parts:
            table.busy(part.rows[0], len(table.results), len(rows))
            for result in part.prove(part.rows):
                table.add(result)
                if len(table.results) < len(rows):
                    table.busy(rows[len(table.results)], len(table.results), len(rows))
    except KeyboardInterrupt:
        done = {result.row.id for result in table.results}
        for row in rows:
            if row.id not in done:
                table.add(Result(row=row, caught=Caught.NOT_RUN, note=INTERRUPTED))
    progress.still()
    code = exit_code(table.results)
    folder = write(reports, table.results, begun=begun, commit=commit, code=code)
    word = {0: "GO", 10: "NO-GO", 20: "INCONCLUSIVE"}.get(code, "could not run")
    progress.line(f"{word}: {summary(table.results)}. Table: {folder / 'prove.txt'}")
    return code
