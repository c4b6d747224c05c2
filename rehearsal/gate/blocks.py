"""Blocks: the gate's benchmarks once, in a fresh process, and one number per figure out of it. Two run as a pair.

pytest-benchmark is the stopwatch. A figure's name is its benchmark's; its number the median of the rounds, or
their 99th percentile.

The two sides of a pair run at once, but only one is ever busy: they take their rounds in turn (see the benchmarks'
conftest.py) and on one processor, so that whatever else the machine does falls on both alike.

Keeps: both sides find their modules compiled, in a folder beside the figures; a side that compiled its own at
every block would differ by more than its code.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec

BENCHMARKS = Path("tests/bench/gate/test_blocks.py")
SLOW = "TILLPROOF_GATE_SLOW"
TURNS = "TILLPROOF_GATE_TURNS"
BLOCK_TIMEOUT_S = 180
ROUNDS_MIN_P99 = 100
LOG_SHOWN = 2000


class BlockFailed(Exception):
    """A block ended without its figures; the message holds the end of what it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a side's blocks run: its tree, its interpreter, and what is added to its environment."""

    root: Path
    python: Path
    variables: Mapping[str, str] = field(default_factory=dict)


def run_pair(
    first: Place, second: Place, folder: Path, *, processor: int = -1, only: Sequence[str] = (), p99: bool = False
) -> tuple[dict[str, float], dict[str, float]]:
    """Run the benchmarks on two sides, their rounds in turn, and return seconds by figure of each.

    `processor`: where all rounds run, -1 for anywhere. Raises BlockFailed.
    """
    blocks: list[_Block] = []
    until = time.monotonic() + BLOCK_TIMEOUT_S
    try:
        with _two_pipes() as (to_first, to_second):
            for place, mine, theirs in ((first, to_first, to_second), (second, to_second, to_first)):
                turns = (mine[0], theirs[1], int(not blocks), processor)
                blocks.append(_Block.begin(place, folder / f"block-{len(blocks)}.json", turns, only))
        for block in blocks:
            block.wait(until)
    finally:
        for block in blocks:
            block.end()
    one, other = (figures(block.out, p99=p99) for block in blocks)
    return one, other


def processors() -> Iterator[int]:
    """Yield the processors that we may use, for ever; -1, any, where a process can't choose."""
    return cycle(sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """One side's process; what it prints goes into a file beside its figures."""

    place: Place
    out: Path
    process: subprocess.Popen[bytes]

    @classmethod
    def begin(cls, place: Place, out: Path, turns: tuple[int, int, int, int], only: Sequence[str]) -> _Block:
        out.unlink(missing_ok=True)
        command = [
            str(place.python), "-m", "pytest", str(BENCHMARKS), "-p", "no:cacheprovider",
            "-p", "pytest_benchmark.plugin", f"--benchmark-json={out}", "--benchmark-quiet",
            f"--basetemp={out.with_suffix('.tmp')}",  # pytest's own is shared, and cleared by whoever ends
            *(("-k", " or ".join(only)) if only else ()),
        ]  # fmt: skip
        alone = {
            "PYTHONHASHSEED": "0",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # other plugins: 3 s of imports
            "PYTHONPYCACHEPREFIX": str(out.parent / "compiled"),
            "PYTHONDONTWRITEBYTECODE": "",
            TURNS: ",".join(map(str, turns)),
        }
        variables = {**os.environ, **alone, **place.variables}
        if SLOW not in place.variables:
            variables.pop(SLOW, None)
        with out.with_suffix(".log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=place.root, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=turns[:2],
            )  # fmt: skip
        return cls(place=place, out=out, process=process)

    def wait(self, until: float) -> None:
        """Wait for its end. Raises BlockFailed with the end of what it printed."""
        try:
            code = self.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            late = f"a block in {self.place.root} was not done after {BLOCK_TIMEOUT_S} s"
            raise BlockFailed(late) from error
        if code != 0:
            said = self.out.with_suffix(".log").read_text(errors="replace").strip()[-LOG_SHOWN:]
            raise BlockFailed(f"a block in {self.place.root} ended with {code}:\n{said}")

    def end(self) -> None:
        """End it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def _two_pipes() -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield two pipes, for those who are started meanwhile: later a pipe has an end when its holder has."""
    pipes = os.pipe(), os.pipe()
    try:
        yield pipes
    finally:
        for end in (*pipes[0], *pipes[1]):
            os.close(end)


def timed_figures(root: Path) -> tuple[str, ...]:
    """Return the figures that a tree's benchmarks time."""
    return tuple(re.findall(r"^def test_(\w+)", (root / BENCHMARKS).read_text(encoding="utf-8"), re.MULTILINE))


def figures(path: Path, *, p99: bool = False) -> dict[str, float]:
    """Return seconds by figure of a pytest-benchmark file; one without rounds is left out. Raises BlockFailed.

    With too few rounds for a 99th percentile a figure is nan: it is there, and not known.
    """
    try:
        benchmarks: list[dict[str, Any]] = msgspec.json.decode(path.read_bytes())["benchmarks"]
    except (OSError, msgspec.DecodeError, KeyError) as error:
        raise BlockFailed(f"{path}: no benchmarks in it") from error
    found = {}
    for benchmark in benchmarks:
        data = sorted(benchmark["stats"]["data"])
        name = str(benchmark["name"]).removeprefix("test_")
        if p99 and 0 < len(data) < ROUNDS_MIN_P99:
            found[name] = math.nan
        elif data:
            at = len(data) * 99 // 100 if p99 else len(data) // 2
            found[name] = float(data[min(at, len(data) - 1)])
    return found
