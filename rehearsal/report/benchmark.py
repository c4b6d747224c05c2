"""benchmark.json: the run's figures as a list of {name, unit, value, range}, for benchmark dashboards.

`range` is what receipts per second varied between over the run's ten-second windows. Other figures have none: by
second only other tills' latencies are at hand, those of tills that were down among them.
"""

from __future__ import annotations

import msgspec

from rehearsal.report.chart import Points
from rehearsal.report.figures import is_share, unit
from rehearsal.report.text import number
from rehearsal.report.verdict import VerdictFile
from rehearsal.report.view import View

WINDOW_S = 10


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One figure."""

    name: str
    unit: str
    value: float
    range: str = ""


def benchmark_json(verdict: VerdictFile, view: View) -> str:
    """Return benchmark.json's text."""
    entries = [
        Entry(
            name=f"{verdict.scenario}/{name}",
            unit=unit(name),
            value=100 * value if is_share(name) else value,
        )
        for name, value in sorted(verdict.figures.items())
    ]
    if view.sales:
        lasted_s = (verdict.load.ended_ms - verdict.load.started_ms) / 1000  # also where nothing was sold any more
        rate = sum(value or 0 for _, value in view.sales) / max(lasted_s, 1)
        spread = _range(view.sales)
        name = f"{verdict.scenario}/receipts_per_s"
        entries.append(Entry(name=name, unit="1/s", value=round(rate, 3), range=spread))
    return msgspec.json.format(msgspec.json.encode(entries), indent=2).decode() + "\n"


def _range(points: Points) -> str:
    """Return the means of the lowest and the highest window."""
    windows: dict[int, list[float]] = {}
    for at, value in points:
        if value is not None:
            windows.setdefault(int(at // WINDOW_S), []).append(value)
    found = [sum(v) / len(v) for v in windows.values() if len(v) >= WINDOW_S / 2]
    return f"{number(min(found))}\N{EN DASH}{number(max(found))}" if found else ""
