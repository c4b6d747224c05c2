"""Latency files."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

from hdrh.histogram import HdrHistogram

from loadtest.hgrm import write_hgrm
from loadtest.latency import LATEST_US, LatencyBook, Samples


def test_percentiles_are_written_as_the_library_writes_them() -> None:
    """Line by line the same, but for the deviation, which the library forgets to divide by the unit."""
    rng = random.Random(4)  # noqa: S311
    for count in (1, 2, 7, 3000):
        histogram = HdrHistogram(1, LATEST_US, 3, word_size=4)
        for _ in range(count):
            histogram.record_value(1 + int(rng.expovariate(1 / 3000)))
        theirs, ours = io.BytesIO(), io.BytesIO()
        histogram.output_percentile_distribution(theirs, 1000)
        write_hgrm(histogram, ours, unit=1000)
        pairs = list(zip(theirs.getvalue().splitlines(), ours.getvalue().splitlines(), strict=True))
        assert all(theirs_line.startswith(b"#[Mean") for theirs_line, our_line in pairs if theirs_line != our_line)
        assert sum(a != b for a, b in pairs) <= 1


def test_rows_count_receipts_by_the_second_and_take_unknown_ones_at_their_time_out(tmp_path: Path) -> None:
    """Sales, refunds and voids make the row; a fail is only counted; look-ups have their own histogram."""
    samples = Samples()
    samples.add(second=100, till="T01", operation="sale", us=2000, type_="ok")
    samples.add(second=100, till="T01", operation="void", us=4000, type_="ok")
    samples.add(second=100, till="T01", operation="sale", us=5_000_000, type_="info")
    samples.add(second=100, till="T01", operation="sale", us=10, type_="fail")
    samples.add(second=100, till="T01", operation="lookup", us=77, type_="ok")
    samples.add(second=101, till="T01", operation="", us=1500, type_="late")
    book = LatencyBook()
    book.merge(samples.take())
    book.write(tmp_path)
    assert samples.take() == []
    with (tmp_path / "latency.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [rows[0][key] for key in ("n", "p50_ms", "p99_ms", "max_ms", "fail", "info")] == [
        "4", "4.0", "5000.0", "5000.0", "1", "1",
    ]  # fmt: skip
    assert (rows[1]["n"], rows[1]["p50_ms"], rows[1]["late_max_ms"]) == ("0", "", "1.5")
    assert {path.name for path in tmp_path.glob("*.hgrm")} == {
        "latency-T01-sale.hgrm", "latency-T01-void.hgrm", "latency-T01-lookup.hgrm", "latency-T01-lateness.hgrm",
    }  # fmt: skip
    assert abs(book.percentile_ms("T01", "sale", 99) - 5000) < 5


def test_a_masters_book_is_the_sum_of_its_workers(tmp_path: Path) -> None:
    """Merging two workers' samples gives the file that one process would have written."""
    alone, master = LatencyBook(), LatencyBook()
    halves: list[list[tuple[int, str, str, int, str]]] = [[], []]
    for i in range(1000):
        halves[i % 2].append((i // 100, f"T{i % 3}", "sale", 1 + i * i, "ok"))
    alone.merge([sample for pair in zip(*halves, strict=True) for sample in pair])
    for half in halves:
        master.merge(half)
    alone.write(tmp_path / "alone")
    master.write(tmp_path / "master")
    for path in sorted((tmp_path / "alone").iterdir()):
        assert path.read_bytes() == (tmp_path / "master" / path.name).read_bytes()
