"""What the load generator's history and histograms cost, next to a bare FastHttpUser."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("generator_blocks.py")
ROOT = Path(__file__).parents[2]


def test_generator_vs_bare(benchmark: Any, tmp_path: Path) -> None:
    """Interleaved blocks of the same sales in one process, sent bare and sent with all that a cashier records."""

    def blocks() -> list[list[float]]:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        pairs: list[list[float]] = json.loads(done.stdout.splitlines()[-1])
        return pairs

    pairs = benchmark.pedantic(blocks, rounds=1, iterations=1)
    benchmark.extra_info["generator_vs_bare"] = statistics.median(recorded / bare for bare, recorded in pairs)
    benchmark.extra_info["generator_vs_bare_measured"] = {
        "bare_per_cpu_s": round(statistics.median(bare for bare, _ in pairs)),
        "recorded_per_cpu_s": round(statistics.median(recorded for _, recorded in pairs)),
        "pairs": len(pairs),
    }
