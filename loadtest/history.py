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
        self._write("start", at_ms=now_ms())

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
        more: dict[str, Any] = dict(asked)
        if repeat:
            more["repeat"] = True
        if edited:
            more["edited"] = True
        return self._write("invoke", f=f, op_id=op_id, till=till, at_ms=now_ms(), **more)

    def complete(
        self, type_: str, *, of: int, f: str, op_id: str, till: str, ms: float, more: Mapping[str, Any]
    ) -> None:
        """Write how the invoke on line `of` ended: ok, fail or info; `ms` counts from the intended start."""
        self._write(type_, f=f, op_id=op_id, till=till, at_ms=now_ms(), of=of, ms=round(ms, 3), **more)

    def end(self) -> None:
        """Write the end line and close the file; later calls change nothing."""
        if not self._ended:
            self._write("end", at_ms=now_ms())
            self._ended = True
            os.close(self._descriptor)

    def _write(self, type_: str, **fields: Any) -> int:
        assert not self._ended, "a line after the end"
        n = self._n
        self._n = n + 1
        line = _encode({"worker": self.worker, "n": n, "type": type_, **fields}) + b"\n"
        written = os.write(self._descriptor, line)
        if written != len(line):
            raise OSError(f"history {self.worker}: only {written} of {len(line)} bytes written")
        return n


def _create(folder: Path, worker: str) -> tuple[int, str]:
    name, attempt = worker, 1
    while True:
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            return os.open(folder / f"history-{name}.jsonl", flags, 0o644), name
        except FileExistsError:
            attempt += 1
            name = f"{worker}-{attempt}"
