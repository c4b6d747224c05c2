"""Run the benchmarks and write their figures: `python -m loadtest.bench`, or `make bench`.

Each file in tests/bench runs in a process of its own, pytest-benchmark being the stopwatch. A benchmark
names a figure by `benchmark.extra_info[NAME] = value`, and whatever else it measured beside it. A figure that
no benchmark gave is listed without a value, not passed, and with the reason: nothing is left out silently.
"""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec

FILE_TIMEOUT_S = 1200
EXIT_MISSED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A figure's bound: at least or at most `limit`, in `unit`."""

    name: str
    unit: str
    limit: float
    at_least: bool = False
    what: str

    def passed(self, value: float | None) -> bool:
        """Tell whether a value keeps the bound; no value doesn't."""
        if value is None:
            return False
        return value >= self.limit if self.at_least else value <= self.limit

    @property
    def text(self) -> str:
        """The bound as people read it."""
        return f"{'>=' if self.at_least else '<='} {self.limit:g} {self.what}"


GOALS = (
    Goal(
        name="ingest_vs_copy", unit="ratio", limit=0.6, at_least=True,
        what="of the sales per second of COPY of the same rows into the same tables",
    ),
    Goal(
        name="initial_load_vs_sqlite", unit="ratio", limit=3.0,
        what="times a plain SQLite bulk insert of the same 100,000 products",
    ),
    Goal(name="till_rss_mib", unit="MiB", limit=96.0, what="MiB of a till with 100,000 products"),
    Goal(
        name="sale_p99_sync_ratio", unit="ratio", limit=1.10,
        what="times the sale p99 without sync, at 1 GB and 0.75 core",
    ),
    Goal(
        name="price_latency_p99_ms", unit="ms", limit=100.0,
        what="ms from a clerk's commit to a till's applied row, ten capped tills",
    ),
    Goal(
        name="sale_latency_p99_ms", unit="ms", limit=100.0,
        what="ms from a till's commit to the server's, ten capped tills",
    ),
    Goal(name="wire_bytes_per_sale", unit="bytes", limit=100.0, what="bytes in batches of 500"),
    Goal(
        name="flush_rss_growth_ratio", unit="ratio", limit=1.10,
        what="times its memory before, while a till flushes 100,000 sales",
    ),
    Goal(name="rehearse_wall_s", unit="s", limit=240.0, what="s for the go-live rehearsal, set-up aside"),
    Goal(
        name="failover_handshakes_s", unit="s", limit=60.0,
        what="s for 10,000 tills' handshakes at a promoted server of two workers",
    ),
    Goal(
        name="failover_rss_growth_ratio", unit="ratio", limit=1.15,
        what="times the server's memory after its first 500 handshakes",
    ),
    Goal(
        name="generator_vs_bare", unit="ratio", limit=0.85, at_least=True,
        what="of a bare FastHttpUser's requests per second, with history and histograms",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRun:
    """What one benchmark file gave: values by name, other measurements, and why tests failed."""

    path: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[str, ...] = ()


def run_file(path: Path, out: Path, arguments: Iterable[str] = ()) -> FileRun:
    """Run one benchmark file and return its figures and failures."""
    json_path, xml_path = out / f"{path.stem}.json", out / f"{path.stem}.xml"
    for old in (json_path, xml_path):
        old.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", "pytest", str(path), "-s", "-p", "no:cacheprovider", "-p", "no:xdist",
        f"--benchmark-json={json_path}", f"--junitxml={xml_path}", *arguments,
    ]  # fmt: skip
    failures: list[str] = []
    try:
        subprocess.run(command, timeout=FILE_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        failures.append(f"{path.name}: not done after {FILE_TIMEOUT_S} s")
    return FileRun(
        path=str(path), extra=read_extra(json_path), failures=(*failures, *read_failures(xml_path, path.name))
    )


def read_extra(path: Path) -> dict[str, Any]:
    """Return the extra_info of all benchmarks in a pytest-benchmark file; nothing without a file."""
    try:
        benchmarks = msgspec.json.decode(path.read_bytes())["benchmarks"]
    except (OSError, msgspec.DecodeError, KeyError):
        return {}
    return {key: value for benchmark in benchmarks for key, value in benchmark["extra_info"].items()}


def read_failures(path: Path, name: str) -> list[str]:
    """Return one line for each test of a junit file that failed, broke or was skipped."""
    try:
        root = ET.parse(path).getroot()  # noqa: S314 - written by our own pytest just now
    except (OSError, ET.ParseError):
        return [f"{name}: ended without a result"]
    found = []
    for case in root.iter("testcase"):
        for kind in ("failure", "error", "skipped"):
            for element in case.findall(kind):
                message = (element.get("message") or kind).strip().splitlines()[0][:200]
                found.append(f"{case.get('name')}: {message}")
    return found


def figures(runs: Iterable[FileRun]) -> list[dict[str, Any]]:
    """Return every goal with its value, or with the reason why there is none."""
    done = list(runs)
    extra = {key: value for run in done for key, value in run.extra.items()}
    failures = [failure for run in done for failure in run.failures]
    listed = []
    for goal in GOALS:
        value = extra.get(goal.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            value = None
        figure = {
            "name": goal.name, "value": None if value is None else round(value, 4), "unit": goal.unit,
            "limit": goal.limit, "goal": goal.text, "passed": goal.passed(value),
        }  # fmt: skip
        if value is None:
            figure["reason"] = why_missing(goal.name, failures)
        measured = extra.get(f"{goal.name}_measured")
        if measured is not None:
            figure["measured"] = measured
        listed.append(figure)
    return listed


def why_missing(name: str, failures: list[str]) -> str:
    """Return why a figure has no value: its own test's failure, else all of them, else that none gave it."""
    own = [failure for failure in failures if name in failure.split(":")[0]]
    return "; ".join(own or failures) or f"no benchmark gave {name}"


@click.command()
@click.option("--only", multiple=True, help="run only files whose name contains this; may be given several times")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("reports/bench"),
    show_default=True,
    help="where to write",
)
def main(only: tuple[str, ...], out: Path) -> None:
    """Run the benchmarks in tests/bench and write benchmark.json."""
    folder = Path(__file__).parent.parent / "tests" / "bench"
    files = [
        path for path in sorted(folder.glob("test_*.py")) if not only or any(part in path.name for part in only)
    ]
    if not files:
        raise click.UsageError(f"no benchmark in {folder} is named so")
    out.mkdir(parents=True, exist_ok=True)
    listed = figures([run_file(path, out) for path in files])
    path = out / "benchmark.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(listed), indent=2) + b"\n")
    for figure in listed:
        mark = "ok  " if figure["passed"] else "MISS"
        value = figure.get("reason") if figure["value"] is None else f"{figure['value']:g} {figure['unit']}"
        click.echo(f"{mark} {figure['name']:24} {value}   ({figure['goal']})")
    click.echo(str(path))
    sys.exit(0 if all(figure["passed"] for figure in listed) else EXIT_MISSED)


if __name__ == "__main__":
    main()
