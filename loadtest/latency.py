"""Latency from the intended start, per till and operation: histograms, and a row per second and till.

Percentiles can't be merged, samples can: workers hand over samples, and only one process (the lone one, or
Locust's master) keeps histograms and writes files. Values are microseconds inside, milliseconds in files.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from hdrh.histogram import HdrHistogram

from loadtest.hgrm import write_hgrm

Sample = tuple[int, str, str, int, str]
LATEST_US = 3_600_000_000
RECEIPT_OPERATIONS = frozenset({"sale", "refund", "void"})
CSV_COLUMNS = ("second", "till", "n", "p50_ms", "p99_ms", "max_ms", "fail", "info", "late_max_ms")


class Samples:
    """A process's samples since they were last taken: (epoch second, till, operation, µs, type).

    type is ok, fail, info, or late: by how much the generator itself was late with an arrival.
    """

    def __init__(self) -> None:
        self._samples: list[Sample] = []

    def add(self, *, second: int, till: str, operation: str, us: int, type_: str) -> None:
        """Note one sample. `second` is that of the intended start."""
        self._samples.append((second, till, operation, us, type_))

    def take(self) -> list[Sample]:
        """Return the samples and begin anew."""
        taken, self._samples = self._samples, []
        return taken


class LatencyBook:
    """All samples of a run: histograms by till and operation, rows by second and till.

    Rows cover sale, refund and void, whose commit a cashier waits for; a fail counts only as such.
    """

    def __init__(self) -> None:
        self.changed = False
        self._histograms: dict[tuple[str, str], HdrHistogram] = {}
        self._rows: dict[tuple[int, str], list[int]] = defaultdict(list)
        self._counts: dict[tuple[int, str, str], int] = defaultdict(int)
        self._late_us: dict[tuple[int, str], int] = defaultdict(int)

    def merge(self, samples: Iterable[Sample]) -> None:
        """Add samples, from this process or a worker."""
        for second, till, operation, us, type_ in samples:
            self.changed = True
            if type_ == "late":
                self._late_us[second, till] = max(us, self._late_us[second, till])
                self._histogram(till, "lateness").record_value(min(max(us, 1), LATEST_US))
                continue
            if operation in RECEIPT_OPERATIONS:
                self._counts[second, till, type_] += 1
                if type_ != "fail":
                    self._rows[second, till].append(us)
            if type_ != "fail":
                self._histogram(till, operation).record_value(min(max(us, 1), LATEST_US))

    def percentile_ms(self, till: str, operation: str, percentile: float) -> float:
        """Return a percentile in ms, 0 when nothing was recorded."""
        histogram = self._histograms.get((till, operation))
        return histogram.get_value_at_percentile(percentile) / 1000 if histogram else 0.0

    def write(self, folder: Path) -> None:
        """Write latency.csv and latency-<till>-<operation>.hgrm (values in ms) into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for (till, operation), histogram in sorted(self._histograms.items()):
            with (folder / f"latency-{till}-{operation}.hgrm").open("wb") as file:
                write_hgrm(histogram, file, unit=1000)
        with (folder / "latency.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(CSV_COLUMNS)
            writer.writerows(self._csv_rows())
        self.changed = False

    def _csv_rows(self) -> Iterable[tuple[object, ...]]:
        for second, till in sorted({key[:2] for key in self._counts} | set(self._late_us)):
            values = sorted(self._rows.get((second, till), []))
            counts = [self._counts.get((second, till, type_), 0) for type_ in ("ok", "fail", "info")]
            shown = (
                [round(_rank(values, share) / 1000, 3) for share in (0.5, 0.99, 1.0)] if values else ["", "", ""]
            )
            late_ms = round(self._late_us.get((second, till), 0) / 1000, 3)
            yield (second, till, sum(counts), *shown, counts[1], counts[2], late_ms)

    def _histogram(self, till: str, operation: str) -> HdrHistogram:
        histogram = self._histograms.get((till, operation))
        if histogram is None:
            histogram = self._histograms[till, operation] = HdrHistogram(1, LATEST_US, 3, word_size=4)
        return histogram


def _rank(ordered: list[int], share: float) -> int:
    """Return the nearest-rank percentile of an ordered, non-empty list."""
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]
