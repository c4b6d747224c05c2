"""Workers on other machines: the plan goes to them, and what they write comes back while they write it.

A worker of the same machine finds the plan in TILLPROOF_LOAD and writes into the run's own folder. One elsewhere
gets it from the master by message, writes into a folder of its own, and sends what is new with each report; what
does not arrive leaves a hole in its numbering, or a history without an end, and both are seen. The folder is made
for one worker in one run, so nothing of another worker or of an earlier run is ever sent.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from loadtest.plan import Plan

BYTES_MAX = 4 * 1024 * 1024
EXPECTED = "expected-histories.txt"
_NAME = re.compile(r"(history|samples)-[a-z][0-9]{1,4}(-[0-9]{1,4})?\.(jsonl|csv)")


def own_folder(plan: Plan, worker_index: int) -> Path:
    """Make a folder, in the plan's, that nobody has written to: of this run and this worker."""
    name = f"{plan.run_key}-{worker_index}"
    for attempt in itertools.count(1):
        folder = Path(plan.out_dir) / (name if attempt == 1 else f"{name}-{attempt}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            break
    return folder


class Tail:
    """What was appended to a worker's files since it was last asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sent: dict[str, int] = {}

    def take(self) -> dict[str, bytes]:
        """Return file → new bytes; a large piece is left for the next time."""
        found: dict[str, bytes] = {}
        for path in sorted(self.folder.glob("*")):
            if not _NAME.fullmatch(path.name):
                continue
            sent = self._sent.get(path.name, 0)
            with path.open("rb") as file:
                file.seek(sent)
                piece = file.read(BYTES_MAX)
            if piece:
                found[path.name] = piece
                self._sent[path.name] = sent + len(piece)
        return found


def append(folder: Path, pieces: Mapping[str, bytes]) -> None:
    """Add what a worker sent to its files here; a name that no worker's file has is refused."""
    for name, piece in pieces.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no history of a worker")
        with (folder / name).open("ab") as file:
            file.write(piece)


def expect(folder: Path, history: str) -> None:
    """Note that a worker was given a seat, so that its history must be there in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / EXPECTED
    known = path.read_text(encoding="utf-8").split() if path.exists() else []
    if history not in known:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{history}\n")


def missing(folder: Path) -> list[str]:
    """Return the histories that were expected and are not there."""
    path = folder / EXPECTED
    expected = path.read_text(encoding="utf-8").split() if path.exists() else []
    return [name for name in expected if not (folder / f"history-{name}.jsonl").exists()]


def packed(plan: Plan) -> bytes:
    """Return a plan as it goes to a worker."""
    return msgspec.json.encode(plan)


def unpacked(body: bytes, *, out_dir: str, catalogue: str) -> Plan:
    """Return a plan from the master, with this machine's folders in place of the master's."""
    plan = msgspec.json.decode(body, type=Plan)
    return msgspec.structs.replace(
        plan, out_dir=out_dir or "reports/load", catalogue=catalogue or plan.catalogue
    )  # fmt: skip
