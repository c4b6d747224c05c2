"""The history: what was asked for and what came back, one JSON object a line, written before it happens.

An invoke is in the operating system's hands before its request is sent, so that no sale can exist that the
history never heard of. Lines of one worker are numbered from 0 without a hole, the first says start, the
last end: a line lost or a tail cut off shows.

An attempt ends ok (with the answer), fail (definitely not done) or info (nobody knows). An operation is ok
when any of its attempts is; else unknown when any of them is info; only else did it fail.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


def now_ms() -> int:
    """Return the epoch time in milliseconds."""
    return time.time_ns() // 1_000_000


class History:
    """An append-only history file of one worker, history-<worker>.jsonl."""

    def __init__(self, folder: Path, worker: str) -> None:
        """Create the file, under the next free name (c0, c0-2, c0-3 ...) when the worker's is taken."""
        folder.mkdir(parents=True, exist_ok=True)
        self._descriptor, self.worker = _create(folder, worker)
        self._n = 0
        self._ended = False
        self._mark("start")

    def invoke(
        self,
        *,
        f: str,
        op_id: str,
        till: str,
        asked: Mapping[str, Any],
        repeat: bool = False,
        edited: bool = False,
    ) -> int:
        """Write that an operation is about to be sent and return the line's number. `asked` is its content."""
        line = {
            "worker": self.worker, "n": 0, "type": "invoke", "f": f, "op_id": op_id, "till": till,
            "at_ms": now_ms(), **asked,
        }  # fmt: skip
        if repeat:
            line["repeat"] = True
        if edited:
            line["edited"] = True
        return self._write(line)

    def complete(
        self, type_: str, *, of: int, f: str, op_id: str, till: str, ms: float, more: Mapping[str, Any]
    ) -> None:
        """Write how the invoke on line `of` ended: ok, fail or info; `ms` counts from the intended start."""
        line = {
            "worker": self.worker, "n": 0, "type": type_, "f": f, "op_id": op_id, "till": till,
            "at_ms": now_ms(), "of": of, "ms": round(ms, 3), **more,
        }  # fmt: skip
        self._write(line)

    def end(self) -> None:
        """Write the end line and close the file; later calls change nothing."""
        if not self._ended:
            self._mark("end")
            self._ended = True
            os.close(self._descriptor)

    def _write(self, line: dict[str, Any]) -> int:
        """Number a line and hand it to the operating system."""
        assert not self._ended, "a line after the end"
        line["n"] = n = self._n
        self._n = n + 1
        encoded = _encode(line) + b"\n"
        written = os.write(self._descriptor, encoded)
        if written != len(encoded):
            raise OSError(f"history {self.worker}: only {written} of {len(encoded)} bytes written")
        return n

    def _mark(self, type_: str) -> None:
        self._write({"worker": self.worker, "n": 0, "type": type_, "at_ms": now_ms()})


def _create(folder: Path, worker: str) -> tuple[int, str]:
    name, attempt = worker, 1
    while True:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            return os.open(folder / f"history-{name}.jsonl", flags, 0o644), name
        except FileExistsError:
            attempt += 1
            name = f"{worker}-{attempt}"
