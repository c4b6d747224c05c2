"""The first load of a till, next to a plain SQLite bulk insert of the same rows."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

from rehearsal.prove.field.till_lab import ROOT, stub_server

PRODUCTS = 100_000


def test_initial_load_vs_sqlite(benchmark: Any) -> None:
    """Fetch, unpack, check and store 100,000 products with price and stock, against executemany alone."""

    def blocks() -> list[list[list[float]]]:
        with stub_server(PRODUCTS) as server:
            done = subprocess.run(
                [sys.executable, "-m", "tests.bench.till_load_block", server, str(PRODUCTS)],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
        pairs: list[list[list[float]]] = json.loads(done.stdout.splitlines()[-1])
        return pairs

    pairs = benchmark.pedantic(blocks, rounds=1, iterations=1)
    ratio = statistics.median(till[0] / plain[0] for plain, till in pairs)
    benchmark.extra_info["initial_load_vs_sqlite"] = ratio
    benchmark.extra_info["initial_load_vs_sqlite_measured"] = {
        "plain_s": round(statistics.median(plain[0] for plain, _ in pairs), 2),
        "till_s": round(statistics.median(till[0] for _, till in pairs), 2),
        "cpu_ratio": round(statistics.median(till[1] / plain[1] for plain, till in pairs), 2),
        "rows": 3 * PRODUCTS,
    }
    print(f"\ninitial load / plain insert = {ratio:.2f}")
