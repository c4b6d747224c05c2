"""Reading an evidence folder: lazily, row by row, whether a file is plain or compressed.

Checkers, judge and report see a run only through this. Rows are dicts of strings, as csv gives them.

    history.jsonl                    operations, in the order of the merged worker files
    latency.csv                      second, till, n, p50_ms, p99_ms, max_ms, fail, info
    samples.csv                      till, at_ms, pair, a, b     (a, b: price in force, or empty)
    masters_samples.csv              till, at_ms, online, age_ms, term_n, cursor_pos
    backlog.csv                      at_ms, till, head, acked, on_server
    throughput.csv                   second, ok
    host.csv                         at_ms, cpu_percent, steal_percent, load1, memory_available_mib,
                                     iowait_percent
    nodes.csv                        at_ms, node, cpu_s, throttled_s, memory_peak_mib  (so far, by the kernel)
    price_lag.csv                    key, till, version, lag_ms  (commit to applied, at most; sampled each second)
    opening/<table>.csv              masters as imported: products, prices, vendors, tax_rates, stock, cashiers
                                     (without their PINs)
    tills/<till>/<table>.csv         state, receipts, lines, payments, journal, z, products, prices,
                                     vendors, tax_rates, stock
    server/<table>.csv               state, term, receipts, lines, payments, journal, settlement, z,
                                     flags, asides, products, prices, vendors, tax_rates, stock,
                                     goods_receipts, vendor_returns, stock_counts, edits, changes
    server-old/<table>.csv           the same without masters, of a server that was live before, if any was
    reigns.csv                       at_ms, server, role, term_n, term_id, written, received, replayed
    probes.csv                       at_ms, server, ask, term_n, accepted, status, code
    meta.json                        model.Meta
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import zstandard

from rehearsal.model import Meta

csv.field_size_limit(1 << 26)


class EvidenceMissing(Exception):
    """A file that a checker needs is not in the folder."""


class EvidenceDamaged(ValueError):
    """A file can't be read to its end; the message names it and says why."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """An evidence folder."""

    folder: Path

    def meta(self) -> Meta:
        """Return the run's facts."""
        return Meta.load_from(self.folder / "meta.json")

    def tills(self) -> tuple[str, ...]:
        """Return the tills that have a folder, sorted."""
        below = self.folder / "tills"
        return tuple(sorted(path.name for path in below.iterdir())) if below.is_dir() else ()

    def path(self, name: str) -> Path | None:
        """Return the file of a name such as `tills/T01/receipts.csv`, plain or .zst; None when absent."""
        for path in (self.folder / name, self.folder / f"{name}.zst"):
            if path.exists():
                return path
        return None

    def has(self, name: str) -> bool:
        """Say whether there is such a file."""
        return self.path(name) is not None

    @contextmanager
    def text(self, name: str) -> Iterator[TextIO]:
        """Open a file by its plain name; raises EvidenceMissing, and EvidenceDamaged while it is read."""
        path = self.path(name)
        if path is None:
            raise EvidenceMissing(f"{name} is absent")
        try:
            if path.suffix != ".zst":
                with path.open(encoding="utf-8", newline="") as plain:
                    yield plain
                return
            with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as reader:
                yield io.TextIOWrapper(reader, encoding="utf-8", newline="")
        except (zstandard.ZstdError, UnicodeDecodeError, csv.Error) as error:
            raise EvidenceDamaged(f"{name}: {error}") from error

    def rows(self, name: str) -> Iterator[dict[str, str]]:
        """Yield the rows of a CSV file, e.g. `server/receipts.csv`; one of another width is EvidenceDamaged."""
        with self.text(name) as file:
            reader = csv.DictReader(file)
            for row in reader:
                if None in row or None in row.values():
                    raise EvidenceDamaged(f"{name}: line {reader.line_num} is cut, or of another width")
                yield row

    def rows_if_any(self, name: str) -> Iterator[dict[str, str]]:
        """Yield the rows of a CSV file, none when it is absent."""
        if self.has(name):
            yield from self.rows(name)

    def history(self) -> Iterator[dict[str, Any]]:
        """Yield the cashiers' and clerks' operations. A line that is not JSON raises ValueError."""
        with self.text("history.jsonl") as file:
            for line in file:
                if line.strip():
                    yield json.loads(line)

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a file's stored bytes."""
        with (self.folder / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def digests(self) -> dict[str, str]:
        """Return file → SHA-256 of its stored bytes, for every file but meta.json."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.name != "meta.json":
                name = path.relative_to(self.folder).as_posix()
                found[name] = self.digest(name)
        return found
