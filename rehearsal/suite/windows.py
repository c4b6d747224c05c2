"""A run in stretches of a few seconds: how much was asked for, how much was done, and how it felt.

Receipts count by the second in which their customer was meant to be served, so what a till could not take shows as
waiting and not as fewer customers. Throughput counts by the second in which the answer came.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rehearsal.checkers.case import Case
from rehearsal.checkers.payload import Receipt
from rehearsal.evidence.reader import Evidence
from rehearsal.measures import Served, percentile, served

WINDOW_S = 3.0
SALES_MIN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """One stretch from `from_s`, all tills together. Rates are receipts per second; figures as in thresholds."""

    from_s: float
    to_s: float
    asked_per_s: float
    done_per_s: float
    figures: Mapping[str, float]
    sales: int

    @property
    def judged(self) -> bool:
        """Whether it holds receipts enough to tell a percentile."""
        return self.sales >= SALES_MIN


def stretches(evidence: Evidence, *, width_s: float = WINDOW_S) -> tuple[Stretch, ...]:
    """Return a finished run's stretches, from the start of its load to its end."""
    case = Case(evidence)
    load = case.meta.load
    count = max(1, int((load.ended_ms - load.started_ms) / 1000 // width_s))
    due: dict[int, list[Served]] = defaultdict(list)
    done: dict[int, int] = defaultdict(int)
    for sale in served(case):
        due[_place(sale.due_ms, load.started_ms, width_s)].append(sale)
        if sale.result == "ok":
            done[_place(sale.due_ms + sale.ms, load.started_ms, width_s)] += 1
    lags = _lags(case, width_s)
    return tuple(
        Stretch(
            from_s=place * width_s, to_s=(place + 1) * width_s, asked_per_s=len(due[place]) / width_s,
            done_per_s=done[place] / width_s, figures=_figures(due[place], lags.get(place, ())),
            sales=len(due[place]),
        )
        for place in range(count)
    )  # fmt: skip


def _place(at_ms: float, started_ms: int, width_s: float) -> int:
    return int((at_ms - started_ms) / 1000 // width_s)


def _figures(sales: Sequence[Served], lags: Sequence[float]) -> dict[str, float]:
    felt = [sale.ms for sale in sales if sale.result != "fail"]
    count = len(sales) or math.nan
    found = {
        "sale.p50": percentile(felt, 0.5),
        "sale.p99": percentile(felt, 0.99),
        "sale.max": percentile(felt, 1.0),
        "sale.refused": sum(sale.refused for sale in sales) / count,
        "sale.unknown": sum(sale.result == "info" for sale in sales) / count,
        "sync.lag.p99": percentile(lags, 0.99),
    }
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _lags(case: Case, width_s: float) -> dict[int, list[float]]:
    """Return how long receipts took from the till's commit to the server's, by the stretch of the commit."""
    made = {
        (receipt.till, receipt.incarnation, receipt.seq): receipt.at_ms
        for entries in case.server_journals.values()
        for entry in entries
        if isinstance(receipt := entry.content, Receipt)
    }
    found: dict[int, list[float]] = defaultdict(list)
    for row in case.evidence.rows("server/journal.csv"):
        at_ms = made.get((row["till"], row["incarnation"], int(row["seq"])))
        if at_ms is not None and row.get("received_ms"):
            place = _place(at_ms, case.meta.load.started_ms, width_s)
            found[place].append(float(int(row["received_ms"]) - at_ms))
    return found
