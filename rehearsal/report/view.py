"""What the pages show beyond verdict.json, read from the evidence folder: series over time and the settlement."""

from __future__ import annotations

from dataclasses import dataclass

from rehearsal.evidence.reader import Evidence
from rehearsal.model import Meta
from rehearsal.report import series
from rehearsal.report.chart import Points
from rehearsal.report.days import DayRow, days


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All series start at the load's start; `duration_s` reaches to the end of the last stage or sample."""

    duration_s: float
    sales: Points
    latency: series.Latency
    backlog: dict[str, Points]
    cpu: Points
    days: tuple[DayRow, ...]
    gaps: tuple[str, ...]


def view_of(evidence: Evidence, meta: Meta) -> View:
    """Read what the pages need. Never raises for content: see `View.gaps`."""
    gaps: list[str] = []
    start = meta.load.started_ms
    backlog = series.backlog(evidence, start_ms=start, gaps=gaps)
    sales = series.column(evidence, "throughput.csv", at="second", value="ok", start_ms=start, gaps=gaps)
    cpu = series.column(evidence, "host.csv", at="at_ms", value="cpu_percent", start_ms=start, gaps=gaps)
    ends = [points[-1][0] for points in (sales, *backlog.values()) if points]
    ends += [stage.ended_s for stage in meta.stages] + [(meta.load.ended_ms - start) / 1000]
    return View(
        duration_s=max([1.0, *ends]),
        sales=series.counted(sales),
        latency=series.latency(evidence, start_ms=start, gaps=gaps),
        backlog=backlog,
        cpu=cpu,
        days=days(evidence, meta, gaps),
        gaps=tuple(dict.fromkeys(gaps)),
    )
