"""A whole proof: its parts in order, the table, the folder and the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rehearsal.progress import Progress
from rehearsal.prove.bundled import bundled_rows
from rehearsal.prove.judging import judge_rows
from rehearsal.prove.listing import ROWS, summary
from rehearsal.prove.processes import planted_rows
from rehearsal.prove.rehearsed import rehearsed_part
from rehearsal.prove.row import Caught, Part, Result, Row, exit_code, names_of
from rehearsal.prove.simulated import simulated_part
from rehearsal.prove.table import Table, not_written
from rehearsal.report.write import lead_to

INTERRUPTED = "interrupted"


class NoSuchRow(ValueError):
    """A row was asked for that there is none of; the message lists those there are."""


def parts_of(wanted: frozenset[str], *, jobs: int, scenarios: bool, runs: Path) -> list[Part]:
    """Return what is to be proved; `wanted` holds names in capitals, empty: everything. Raises NoSuchRow.

    Reports of single runs are kept in `runs`.
    """
    asked, bundled = [*judge_rows(), *planted_rows()], bundled_rows()
    if scenarios or wanted & {one.row.id.upper() for one in bundled}:
        asked += bundled
    parts = [simulated_part(jobs), rehearsed_part(asked, runs, jobs)]
    rows = [row for part in parts for row in part.rows]
    unknown = sorted(wanted.difference(*map(names_of, rows)))
    if unknown:
        raise NoSuchRow(f"there is no {', '.join(unknown)}; there is {', '.join(row.id for row in rows)}")
    return [part for part in (part.only(wanted) for part in parts) if part.rows]


def prove_all(parts: Sequence[Part], progress: Progress, *, folder: Path, begun: datetime, commit: str) -> int:
    """Prove, print, write into `folder`, and return the exit code; what Ctrl-C left out is "not run"."""
    table = Table(ROWS, progress)
    table.head()
    rows = [row for part in parts for row in part.rows]
    try:
        for part in parts:
            _prove(part, table, rows)
    except KeyboardInterrupt:
        _leave_out(table, rows, INTERRUPTED)
    progress.still()
    table.results.sort(key=lambda result: rows.index(result.row))
    code = exit_code(table.results)
    try:
        text = table.write(folder, begun=begun, commit=commit, code=code)
    except OSError as error:
        return not_written(progress, error, code)
    if why := lead_to(folder, latest="latest-proof"):
        progress.line(why)
    word = {0: "GO", 10: "NO-GO", 20: "INCONCLUSIVE"}.get(code, "could not run")
    progress.line(f"{word}: {summary(table.results)}. Table: {text}")
    return code


def _prove(part: Part, table: Table[Result], rows: Sequence[Row]) -> None:
    """Prove a part's rows; where the lab itself breaks, the rest of the part is "not run"."""
    _show(table, part, rows)
    try:
        for result in part.prove(part.rows):
            table.add(result)
            _show(table, part, rows)
    except Exception as error:  # noqa: BLE001 - the outer loop: it reports, and proves the other parts
        _leave_out(table, part.rows, f"the lab failed: {type(error).__name__}: {error}")


def _show(table: Table[Result], part: Part, rows: Sequence[Row]) -> None:
    done = {result.row for result in table.results}
    left = [row.id for row in part.rows if row not in done]
    table.busy(f"{len(done)} of {len(rows)} proved; of {part.name} left: {', '.join(left) or 'none'}")


def _leave_out(table: Table[Result], rows: Sequence[Row], why: str) -> None:
    done = {result.row.id for result in table.results}
    for row in rows:
        if row.id not in done:
            table.add(Result(row=row, caught=Caught.NOT_RUN, note=why))
