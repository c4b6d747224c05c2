"""One block: the gate's benchmarks once, in a fresh process, and one number per figure out of it.

pytest-benchmark is the stopwatch. A figure's name is its benchmark's; its number the median of the rounds, or
their 99th percentile.

Keeps: both sides find their modules compiled, in a folder beside the figures; a side that compiled its own at
every block would differ by more than its code.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

BENCHMARKS = Path("tests/bench/gate/test_blocks.py")
SLOW = "TILLPROOF_GATE_SLOW"
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


def run_block(place: Place, out: Path, *, only: Sequence[str] = (), p99: bool = False) -> dict[str, float]:
    """Run the benchmarks once and return seconds by figure. Raises BlockFailed."""
    out.unlink(missing_ok=True)
    command = [
        str(place.python), "-m", "pytest", str(BENCHMARKS), "-p", "no:cacheprovider",
        "-p", "pytest_benchmark.plugin", f"--benchmark-json={out}", "--benchmark-quiet",
        *(("-k", " or ".join(only)) if only else ()),
    ]  # fmt: skip
    alone = {
        "PYTHONHASHSEED": "0",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # other plugins: 3 s of imports
        "PYTHONPYCACHEPREFIX": str(out.parent / "compiled"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    variables = {**os.environ, **alone, **place.variables}
    if SLOW not in place.variables:
        variables.pop(SLOW, None)
    try:
        done = subprocess.run(
            command, cwd=place.root, env=variables, capture_output=True, text=True, timeout=BLOCK_TIMEOUT_S,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise BlockFailed(f"a block in {place.root} was not done after {BLOCK_TIMEOUT_S} s") from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-LOG_SHOWN:]
        raise BlockFailed(f"a block in {place.root} ended with {done.returncode}:\n{said}")
    return figures(out, p99=p99)


def figures(path: Path, *, p99: bool = False) -> dict[str, float]:
    """Return seconds by figure of a pytest-benchmark file; one without rounds is left out. Raises BlockFailed."""
    try:
        benchmarks: list[dict[str, Any]] = msgspec.json.decode(path.read_bytes())["benchmarks"]
    except (OSError, msgspec.DecodeError, KeyError) as error:
        raise BlockFailed(f"{path}: no benchmarks in it") from error
    found = {}
    for benchmark in benchmarks:
        data = sorted(benchmark["stats"]["data"])
        name = str(benchmark["name"]).removeprefix("test_")
        if p99 and len(data) < ROUNDS_MIN_P99:
            continue
        if data:
            at = len(data) * 99 // 100 if p99 else len(data) // 2
            found[name] = float(data[min(at, len(data) - 1)])
    return found
