"""The figures that thresholds are about, from evidence: durations in ms, shares as fractions, counts, MiB.

Latency counts from the intended start, of first attempts of receipts; an unknown outcome counts with its
time-out, a refusal only as such. Sales meant for a till while that till itself was killed or paused are
left out (nobody can sell there), until RESTART_MS after it was started again. Percentiles are nearest rank.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rehearsal.checkers.case import Case
from rehearsal.checkers.history import EDIT_KINDS, RECEIPT_KINDS
from rehearsal.checkers.payload import Receipt
from rehearsal.checkers.windows import Windows

RESTART_MS = 5000
UNBALANCED = "unbalanced"
WINDOW_MS = 10_000
WINDOW_SALES_MIN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A customer at a till: when the operation was meant to start, how long it took, how and why it ended so.

    `repriced`: a price had changed since it was asked, and its cashier asked once more.
    """

    till: str
    due_ms: int
    ms: float
    result: str
    code: str = ""
    repriced: bool = False

    @property
    def refused(self) -> bool:
        """Whether it was refused, and nothing better came of it."""
        return self.result == "fail" and not self.repriced


def percentile(values: Iterable[float], share: float) -> float:
    """Return the nearest-rank percentile; NaN of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def served(case: Case) -> list[Served]:
    """Return the first attempts of receipts, without those meant for a till that was down."""
    windows = Windows(case.meta)
    down = {till: windows.down(till) for till in case.till_names}
    found = []
    for attempt in case.history.attempts:
        if attempt.f not in RECEIPT_KINDS or attempt.repeat or attempt.edited or attempt.ms is None:
            continue
        due_ms = (attempt.done_ms or attempt.at_ms) - round(attempt.ms)
        if attempt.result == "info":
            due_ms = attempt.at_ms  # counted with its time-out, which may be longer than it lasted
        ends_ms = max(due_ms, attempt.done_ms or due_ms)
        if any(begin <= ends_ms and due_ms <= end + RESTART_MS for begin, end in down.get(attempt.till, ())):
            continue
        found.append(
            Served(
                till=attempt.till,
                due_ms=due_ms,
                ms=attempt.ms,
                result=attempt.result,
                code=attempt.code,
                repriced=attempt.f == "sale" and attempt.code == UNBALANCED and not attempt.requoted,
            )
        )
    return found


def measure(case: Case) -> dict[str, float]:
    """Return every figure that this evidence can give; what it can't is left out."""
    figures = _sales(served(case), Windows(case.meta))
    figures |= _counts(case)
    figures["sync.lag.p99"] = percentile(_sale_lags(case), 0.99)
    figures["price.lag.p99"] = percentile(_price_lags(case), 0.99)
    figures["masters.age.max"] = max(_ages(case), default=math.nan)
    peaks = {machine.node: machine.memory_peak_mib for machine in case.meta.machines}
    known = [peak for till in case.meta.fleet.tills if (peak := peaks.get(till)) is not None]
    if len(known) == len(case.meta.fleet.tills):  # the largest of all tills, not of those that were measured
        figures["memory.peak"] = max(known, default=math.nan)
    if case.meta.drain is not None:
        figures["drain"] = case.meta.drain.took_s * 1000
    return {name: value for name, value in figures.items() if not math.isnan(value)}


def _sales(sales: Sequence[Served], windows: Windows) -> dict[str, float]:
    tills: dict[str, list[Served]] = defaultdict(list)
    for sale in sales:
        if sale.result != "fail":
            tills[sale.till].append(sale)
    spans = {till: windows.spans_for(till) for till in tills}
    quiet: dict[str, list[float]] = defaultdict(list)
    rough: dict[str, list[float]] = defaultdict(list)
    for till, ones in tills.items():
        for sale in ones:
            inside = any(
                begin <= sale.due_ms + sale.ms and sale.due_ms <= end + RESTART_MS for begin, end in spans[till]
            )
            (rough if inside else quiet)[till].append(sale.ms)
    count = len(sales) or math.nan
    return {
        "sale.p50": _worst(([sale.ms for sale in ones] for ones in tills.values()), 0.5),
        "sale.p99": _worst(([sale.ms for sale in ones] for ones in tills.values()), 0.99),
        "sale.max": _worst(([sale.ms for sale in ones] for ones in tills.values()), 1.0),
        "sale.quiet.p99": _worst(quiet.values(), 0.99),
        "sale.fault.p99": _worst(rough.values(), 0.99),
        "sale.window.p99": _worst(_windows(tills), 0.99),
        "sale.refused": sum(sale.refused for sale in sales) / count,
        "sale.repriced": sum(sale.repriced for sale in sales) / count,
        "sale.unknown": sum(sale.result == "info" for sale in sales) / count,
    }


def _worst(groups: Iterable[Sequence[float]], share: float) -> float:
    return max((percentile(group, share) for group in groups if group), default=math.nan)


def _windows(tills: dict[str, list[Served]]) -> list[list[float]]:
    """Return each till's latencies by ten seconds; a till without a window of enough sales gives all of them."""
    found = []
    for ones in tills.values():
        buckets: dict[int, list[float]] = defaultdict(list)
        for sale in ones:
            buckets[sale.due_ms // WINDOW_MS].append(sale.ms)
        full = [bucket for bucket in buckets.values() if len(bucket) >= WINDOW_SALES_MIN]
        found += full or [[sale.ms for sale in ones]]
    return found


def _counts(case: Case) -> dict[str, float]:
    def done(kinds: frozenset[str]) -> float:
        operations = case.history.of(kinds).values()
        return float(sum(any(attempt.result == "ok" for attempt in attempts) for attempts in operations))

    return {
        "sales": done(RECEIPT_KINDS),
        "edits": done(EDIT_KINDS),
        "faults.bit": float(sum(fault.bit is True for fault in case.meta.faults)),
    }


def _sale_lags(case: Case) -> list[float]:
    """Return how long receipts took from the till's commit to the server's, where no fault touched the till.

    Tills that synchronise by schedule only (option scheduled_only), or whose clock a fault moved, are left out.
    """
    windows = Windows(case.meta)
    left_out = {*case.meta.options.get("scheduled_only", "").split(), *case.meta.clock_error}
    made = {
        (receipt.till, receipt.incarnation, receipt.seq): receipt.at_ms
        for entries in case.server_journals.values()
        for entry in entries
        if isinstance(receipt := entry.content, Receipt)
    }
    lags = []
    for row in case.evidence.rows("server/journal.csv"):
        at_ms = made.get((row["till"], row["incarnation"], int(row["seq"])))
        if at_ms is None or row["till"] in left_out or not row.get("received_ms"):
            continue
        lag_ms = int(row["received_ms"]) - at_ms
        if windows.calm(row["till"], at_ms - RESTART_MS, at_ms + max(lag_ms, 0), RESTART_MS + max(lag_ms, 0)):
            lags.append(float(lag_ms))
    return lags


def _price_lags(case: Case) -> list[float]:
    """Return how long prices took from the clerk's commit to a till's row, at most; no fault was near."""
    return [float(row["lag_ms"]) for row in case.evidence.rows_if_any("price_lag.csv")]


def _ages(case: Case) -> list[float]:
    """Return the ages of masters on tills that were online and untouched by faults for as long."""
    windows = Windows(case.meta)
    ages = []
    for row in case.evidence.rows_if_any("masters_samples.csv"):
        if row["online"].lower() not in ("1", "true") or not row["age_ms"]:
            continue
        at_ms, age_ms = int(row["at_ms"]), int(row["age_ms"])
        if windows.calm(row["till"], at_ms - age_ms - RESTART_MS, at_ms, age_ms + RESTART_MS):
            ages.append(float(age_ms))
    return ages
