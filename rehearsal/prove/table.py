"""The table of a proof: each line as soon as it is known, then the same as text and JSON in a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from rehearsal.progress import Progress
from rehearsal.prove.row import Caught, Result, Row
from rehearsal.report.text import visible

SCHEMA = 1
_WIDTHS = (6, 43, 29, 12, 13, 5, 6, 0)
_TITLES = ("bug", "what is wrong", "fault", "expected", "verdict", "seed", "s", "convicted by")


class Table:
    """Collects results and prints them one by one."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.results: list[Result] = []

    def head(self) -> None:
        """Print the titles."""
        self._progress.line(_cells(_TITLES))

    def busy(self, row: Row, done: int, of: int) -> None:
        """Show what is being proved."""
        self._progress.figures(f"{done} of {of} proved; now {row.id}: {row.title}")

    def add(self, result: Result) -> None:
        """Keep and print a result."""
        self._progress.still()
        self.results.append(result)
        for line in lines(result):
            self._progress.line(line)


def lines(result: Result) -> list[str]:
    """Return a result's line, and its note below when there is one."""
    row = result.row
    seed = "" if result.seed is None else str(result.seed)
    told = ", ".join(result.convicted) or "nothing"
    cells = (row.id, row.title, row.fault, row.expected, str(result.caught), seed, f"{result.seconds:.1f}", told)
    first = _cells(cells)
    return [first, f"{'':<{_WIDTHS[0] + 1}}{visible(result.note)}"] if result.note else [first]


def _cells(cells: Sequence[str]) -> str:
    return " ".join(f"{cell:<{width}}" for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()


def summary(results: Sequence[Result]) -> str:
    """Return the outcome in one line."""
    counted = Counter(result.caught for result in results)
    caught = counted.pop(Caught.CAUGHT, 0) + counted.pop(Caught.GO, 0)
    rest = [f"{number} {kind}: {_ids(results, kind)}" for kind, number in counted.items()]
    return "; ".join([f"{caught} of {len(results)} as they must be", *rest])


def _ids(results: Sequence[Result], kind: Caught) -> str:
    return ", ".join(result.row.id for result in results if result.caught is kind)


def write(folder: Path, results: Sequence[Result], *, begun: datetime, commit: str, code: int) -> None:
    """Write prove.json and prove.txt into a folder, and point latest-proof beside it at it."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {
        "schema": SCHEMA,
        "commit": commit,
        "started": begun.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "exit_code": code,
        "summary": summary(results),
        "rows": [_as_json(result) for result in results],
    }
    (folder / "prove.json").write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n")
    text = [_cells(_TITLES), *(line for result in results for line in lines(result)), "", summary(results)]
    (folder / "prove.txt").write_text("\n".join(text) + "\n", encoding="utf-8")
    fresh = folder.parent / f".latest-proof-{folder.name}"
    fresh.symlink_to(folder.name)
    fresh.replace(folder.parent / "latest-proof")


def _as_json(result: Result) -> dict[str, object]:
    row = result.row
    return {
        "id": row.id,
        "title": row.title,
        "fault": row.fault,
        "expected": row.expected,
        "convicted": list(result.convicted),
        "verdict": str(result.caught),
        "seed": result.seed,
        "seconds": round(result.seconds, 2),
        "note": result.note,
        "ran": result.ran,
    }
