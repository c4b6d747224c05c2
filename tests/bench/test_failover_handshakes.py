"""What a failover asks of the promoted server: every till of a large chain shakes hands at once."""

from __future__ import annotations

from typing import Any

from tests.bench.handshake_parts import hellos, rss_mib, shake_all, tokens
from tests.bench.ingest_parts import running_server

TILLS = 10_000
WARM = 500


def test_failover_handshakes(benchmark: Any) -> None:
    """10,000 tills with the tokens that they had, on two workers; memory is that after a first few hundred."""
    names = [f"H{number:05d}" for number in range(TILLS + WARM)]

    def storm() -> tuple[float, float, float]:
        with running_server(workers=2) as server:
            held, bodies = tokens(server, names), hellos(server, names)
            warm = {till: bodies.pop(till) for till in names[:WARM]}
            shake_all(server, held, warm)
            before = rss_mib(server.pid)
            took_s = shake_all(server, held, bodies)
            return took_s, before, rss_mib(server.pid)

    took_s, before, after = benchmark.pedantic(storm, rounds=1, iterations=1)
    benchmark.extra_info["failover_handshakes_s"] = took_s
    benchmark.extra_info["failover_rss_growth_ratio"] = after / before
    benchmark.extra_info["failover_handshakes_measured"] = {
        "per_s": round(TILLS / took_s), "rss_before_mib": round(before, 1), "rss_after_mib": round(after, 1),
    }  # fmt: skip
    print(f"\n{TILLS} handshakes in {took_s:.1f} s, {benchmark.extra_info['failover_handshakes_measured']}")
