"""The table of a proof: each line as soon as it is known, then the same as text and JSON in a folder."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from rehearsal.model import EXIT_COULD_NOT_RUN
from rehearsal.progress import Progress
from rehearsal.prove.row import NO_GO
from rehearsal.report.text import visible

SCHEMA = 1
LINE_MAX = 200
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout(Generic[R]):
    """How results of one kind are shown and kept, in `name`.txt and `name`.json.

    `widths` in characters, 0 for the last column, which takes what it needs. `wraps`: a cell that is too long goes
    on below instead of moving the others aside.
    """

    name: str
    titles: tuple[str, ...]
    widths: tuple[int, ...]
    wraps: bool
    cells: Callable[[R], Sequence[str]]
    note: Callable[[R], str]
    as_json: Callable[[R], dict[str, object]]
    summary: Callable[[Sequence[R]], str]

    def head(self) -> str:
        """Return the titles."""
        return self._line(self.titles)

    def lines(self, result: R) -> list[str]:
        """Return a result's lines, and its note below when there is one."""
        cells, note = self.cells(result), self.note(result)
        found = self._wrapped(cells) if self.wraps else [self._line(cells)]
        return [*found, f"{'':<{self.widths[0] + 1}}{visible(note)}"] if note else found

    def _wrapped(self, cells: Sequence[str]) -> list[str]:
        pairs = zip(cells, self.widths, strict=True)
        columns = [textwrap.wrap(cell, width or LINE_MAX) or [""] for cell, width in pairs]
        height = max(map(len, columns))
        return [self._line([column[n] if n < len(column) else "" for column in columns]) for n in range(height)]

    def _line(self, cells: Sequence[str]) -> str:
        return " ".join(f"{cell:<{width}}" for cell, width in zip(cells, self.widths, strict=True)).rstrip()


class Table(Generic[R]):
    """Collects results and prints them one by one."""

    def __init__(self, layout: Layout[R], progress: Progress) -> None:
        self.layout = layout
        self._progress = progress
        self.results: list[R] = []

    def head(self) -> None:
        """Print the titles."""
        self._progress.line(self.layout.head())

    def busy(self, what: str) -> None:
        """Show what is being proved."""
        self._progress.figures(what)

    def add(self, result: R) -> None:
        """Keep and print a result."""
        self._progress.still()
        self.results.append(result)
        for line in self.layout.lines(result):
            self._progress.line(line)

    def write(self, folder: Path, *, begun: datetime, commit: str, code: int) -> Path:
        """Write both files into a folder, which is made, and return the text's path."""
        layout, results = self.layout, self.results
        folder.mkdir(parents=True, exist_ok=True)
        whole = {
            "schema": SCHEMA,
            "commit": commit,
            "started": begun.isoformat(timespec="seconds"),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "exit_code": code,
            "summary": layout.summary(results),
            "rows": [layout.as_json(result) for result in results],
        }
        encoded = msgspec.json.format(msgspec.json.encode(whole), indent=2)
        (folder / f"{layout.name}.json").write_bytes(encoded + b"\n")
        lines = [line for result in results for line in layout.lines(result)]
        text = folder / f"{layout.name}.txt"
        text.write_text("\n".join([layout.head(), *lines, "", layout.summary(results)]) + "\n", encoding="utf-8")
        return text


def not_written(progress: Progress, error: OSError, code: int) -> int:
    """Say that a table could not be kept, and return the exit code: what escaped is known all the same."""
    progress.line(f"could not write the table: {error}")
    return code if code == NO_GO else EXIT_COULD_NOT_RUN
