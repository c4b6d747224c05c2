"""Ingest of ten tills' backlogs, next to plain COPY of the same rows into the same tables."""

from __future__ import annotations

import statistics
from typing import Any

from tests.bench.ingest_parts import (
    SALES_PER_TILL,
    TABLES,
    TILLS,
    Tables,
    backlogs,
    ingest,
    running_server,
)

ROUNDS = 5
SEED = 20250301


def test_ingest_vs_copy(benchmark: Any) -> None:
    """50,000 sales through HTTP, hash check, journal and typed rows, durable, against COPY alone."""
    sales = TILLS * SALES_PER_TILL
    journals = backlogs(SEED)

    def rounds() -> list[tuple[float, float]]:
        pairs: list[tuple[float, float]] = []
        with running_server() as server:
            tables = Tables(server.dsn)
            ingest(server, journals)
            texts, digest = tables.read(), tables.digest()
            counts = [tables.count(table) for table in TABLES]
            assert counts == [sales, sales, 3 * sales, sales]
            for _ in range(ROUNDS):
                tables.empty()
                copied_s = tables.copy(texts)
                tables.empty()
                ingested_s = ingest(server, journals)
                assert tables.digest() == digest
                pairs.append((copied_s, ingested_s))
            tables.close()
        return pairs

    pairs = benchmark.pedantic(rounds, rounds=1, iterations=1)
    ratio = statistics.median(copied / ingested for copied, ingested in pairs)
    benchmark.extra_info["ingest_vs_copy"] = ratio
    benchmark.extra_info["ingest_vs_copy_measured"] = {
        "copy_sales_per_s": round(sales / statistics.median(copied for copied, _ in pairs)),
        "ingest_sales_per_s": round(sales / statistics.median(ingested for _, ingested in pairs)),
        "ratios": [round(copied / ingested, 2) for copied, ingested in pairs],
    }
    print(f"\ningest / COPY = {ratio:.2f}, {benchmark.extra_info['ingest_vs_copy_measured']}")
