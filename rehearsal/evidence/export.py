"""Writing an evidence folder: every witness to plain CSV, streamed, so that memory does not grow with the run.

Large tables are compressed. Master tables of a till and of the server have the same columns and order, so
that equal tables are equal files.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import zstandard

from rehearsal.evidence.databases import Database, Snapshot
from rehearsal.evidence.reader import Evidence
from rehearsal.evidence.tables import MASTERS, SERVER, SERVER_Z, TILL, TILL_Z, Z_COLUMNS, in_dialect
from rehearsal.model import Meta

COMPRESSED = frozenset(
    ("journal", "products", "prices", "stock", "lines", "opening_stock", "changes", "edits", "cashiers")
)
ZSTD_LEVEL = 1
OPENING = ("products.csv", "prices.csv", "vendors.csv", "tax_rates.csv", "stock.csv", "cashiers.csv")
LEFT_OUT = "pin"


def export_till(folder: Path, name: str, database: Database) -> None:
    """Write tills/<name>/; raises WitnessUnreadable."""
    below = folder / "tills" / name
    with database.snapshot() as snapshot:
        for file, sql in TILL.items():
            _export(below, file, snapshot, sql)
        _write(below, "z", Z_COLUMNS, _z_rows(snapshot, TILL_Z))


def export_server(folder: Path, database: Database, settlement: Sequence[Mapping[str, Any]]) -> None:
    """Write server/; `settlement` is the server's own report. Raises WitnessUnreadable."""
    below = folder / "server"
    with database.snapshot() as snapshot:
        for file, sql in SERVER.items():
            _export(below, file, snapshot, sql)
        _write(below, "z", Z_COLUMNS, _z_rows(snapshot, SERVER_Z))
    _write(below, "settlement", (*Z_COLUMNS, "reasons"), settlement_rows(settlement))
    (below / "settlement.json").write_text(json.dumps(settlement, indent=1) + "\n")


def export_old_server(folder: Path, database: Database) -> None:
    """Write server-old/: what a server that is live no more took in; its masters are judged by nobody.

    Raises WitnessUnreadable.
    """
    with database.snapshot() as snapshot:
        for file, sql in SERVER.items():
            if file not in MASTERS and file not in ("opening_stock", "changes"):
                _export(folder / "server-old", file, snapshot, sql)


def export_opening(folder: Path, masters: Path) -> None:
    """Copy the masters as they were imported; the cashiers' PINs stay out."""
    for name in OPENING:
        with (masters / name).open(encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            header = next(reader)
            kept = [place for place, column in enumerate(header) if column != LEFT_OUT]
            rows = ([row[place] for place in kept] for row in reader)
            _write(folder / "opening", name.removesuffix(".csv"), [header[place] for place in kept], rows)


def merge_history(folder: Path, parts: Iterable[Path], missing: Sequence[str] = ()) -> int:
    """Join the workers' history files into history.jsonl, one after another; returns the number of files.

    A worker whose file is missing has a start and no end: what its customers asked for is lost, not invented.
    """
    count = 0
    with (folder / "history.jsonl").open("wb") as out:
        for path in sorted(parts):
            count += 1
            with path.open("rb") as part:
                for chunk in iter(lambda file=part: file.read(1 << 20), b""):  # type: ignore[misc]
                    out.write(chunk)
        for name in missing:
            out.write(json.dumps({"worker": name, "n": 0, "type": "start"}).encode() + b"\n")
    return count


def merge_csv(out: Path, parts: Iterable[Path]) -> None:
    """Join CSV files of one header into one."""
    header: list[str] | None = None
    with out.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        for path in sorted(parts):
            with path.open(encoding="utf-8", newline="") as part:
                reader = csv.reader(part)
                first = next(reader, None)
                if header is None and first is not None:
                    header = first
                    writer.writerow(first)
                writer.writerows(reader)


def seal(folder: Path, meta: Meta) -> Meta:
    """Write meta.json with the digests of every other file, and return it."""
    sealed = replace(meta, digests=Evidence(folder).digests())
    sealed.save(folder / "meta.json")
    return sealed


def write_rows(folder: Path, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file of the lab's own samples."""
    _write(folder, name, columns, rows)


def settlement_rows(report: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each till, date and tender of the server's report; an empty tender where there is none."""
    for day in report:
        head = (day["till"], day["business_date"], day["receipts"], day["gross"], day["tax"])
        reasons = "; ".join(map(str, day.get("reasons", ())))
        for tender, amount in day["by_tender"] or [("", 0)]:
            yield (*head, tender, amount, day["state"], reasons)


def _z_rows(snapshot: Snapshot, sql: str) -> Iterator[tuple[Any, ...]]:
    _, rows = snapshot.rows(sql)
    for till, date, receipts, gross, tax, by_tender in rows:
        for tender, amount in json.loads(by_tender) or [("", 0)]:
            yield (till, date, receipts, gross, tax, tender, amount, "CLOSED")


def _export(below: Path, file: str, snapshot: Snapshot, sql: str) -> None:
    columns, rows = snapshot.rows(in_dialect(sql, snapshot.hex))
    _write(below, file, columns, rows)


def _write(below: Path, file: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    below.mkdir(parents=True, exist_ok=True)
    with _target(below, file) as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


@contextlib.contextmanager
def _target(below: Path, file: str) -> Iterator[io.TextIOBase]:
    if file not in COMPRESSED:
        with (below / f"{file}.csv").open("w", encoding="utf-8", newline="") as plain:
            yield plain
        return
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
    with (below / f"{file}.csv.zst").open("wb") as raw, compressor.stream_writer(raw) as packed:
        text = io.TextIOWrapper(packed, encoding="utf-8", newline="", write_through=False)
        yield text
        text.flush()
        text.detach()
