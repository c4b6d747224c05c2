"""One scenario on several machines or databases, side by side in one table: as text and as a page.

What was not measured is a dash, never a zero.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rehearsal.model import Outcome, RunRecord, StageRecord
from rehearsal.report.diff_html import TONES
from rehearsal.report.figures import shown
from rehearsal.report.html import environment

DASH = "\N{EN DASH}"
# as rehearsal.drive.stages words what it waited for
_SYNC = re.compile(r"masters equal on \d+ tills after ([\d.]+) s")
_FLUSH = re.compile(r"backlog of \d+ tills on the server after ([\d.]+) s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One run. `cells` are in the order of ROWS; `record` None: it could not be run, `why` says why."""

    name: str
    why: str
    record: RunRecord | None
    cells: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """The run's outcome as it is shown."""
        return "could not run" if self.record is None else self.record.judgement.verdict.value

    @property
    def tone(self) -> str:
        """The colour of the outcome."""
        return "bad" if self.record is None else TONES[Outcome(self.record.judgement.verdict)]


ROWS = (
    "sale p50", "sale p99", "sync duration", "backlog flush", "memory peak", "throttled share", "receipts",
)  # fmt: skip


def column(name: str, record: RunRecord | None, why: str = "") -> Column:
    """Return a run's column; without a record every cell is a dash."""
    if record is None:
        return Column(name=name, why=why, record=None, cells=(DASH,) * len(ROWS))
    figures, stages = record.judgement.figures, record.meta.stages
    cells = (
        _figure(figures, "sale.p50"),
        _figure(figures, "sale.p99"),
        _longest(stages, _SYNC),
        _longest(stages, _FLUSH),
        _figure(figures, "memory.peak"),
        _throttled(record),
        str(record.judgement.sales.ok),
    )
    return Column(name=name, why=record.judgement.why, record=record, cells=cells)


def as_text(columns: Sequence[Column]) -> str:
    """Return the table for a terminal."""
    rows = [("", *(one.name for one in columns))]
    rows += [(name, *(one.cells[index] for one in columns)) for index, name in enumerate(ROWS)]
    rows.append(("verdict", *(one.verdict for one in columns)))
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    return "\n".join(lines) + "\n"


def as_page(title: str, columns: Sequence[Column]) -> str:
    """Return the page, under the same rules as report.html."""
    rows = [(name, [one.cells[index] for one in columns]) for index, name in enumerate(ROWS)]
    return environment().get_template("side_by_side.html.j2").render(title=title, columns=columns, rows=rows)


def _figure(figures: dict[str, float], name: str) -> str:
    value = figures.get(name)
    return DASH if value is None or value != value else shown(name, value)  # noqa: PLR0124 - not a number


def _longest(stages: Sequence[StageRecord], told: re.Pattern[str]) -> str:
    found = [float(match[1]) for stage in stages if (match := told.search(stage.detail))]
    return f"{max(found):.1f} s" if found else DASH


def _throttled(record: RunRecord) -> str:
    """The till that the kernel held back most: throttled periods of those in which it ran."""
    shares = [
        machine.throttled_periods / machine.periods
        for machine in record.meta.machines
        if machine.node in record.meta.fleet.tills and machine.periods and machine.throttled_periods is not None
    ]
    return f"{100 * max(shares):.1f} %" if shares else DASH
