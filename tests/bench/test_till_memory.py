"""What a till takes of its machine's memory: with a full catalogue, and while it flushes a long backlog."""

from __future__ import annotations

import http.client
import json
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from rehearsal.prove.field.stub_server import PIN
from rehearsal.prove.field.till_lab import (
    ask,
    await_true,
    new_till,
    rss_mib,
    stub_server,
    till_process,
    write_backlog,
)

PRODUCTS = 100_000
_LOOK_S = 0.02
SALES = 100_000


def sell(url: str, count: int) -> None:
    """Log in, open a day and sell."""
    line = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    token = ""

    def post(path: str, **body: object) -> Any:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        line.request("POST", path, body=json.dumps(body), headers=headers)
        with line.getresponse() as answer:
            assert answer.status == 200, answer.read()
            return json.load(answer)

    token = post("/v1/session", cashier_id="C1", pin=PIN)["token"]
    post("/v1/day/open", op_id=secrets.token_hex(16), business_date="2025-03-01", float_cash=0)
    for n in range(count):
        lines = [{"sku": f"P{n * 499 + i:07d}", "qty": 1000} for i in range(3)]
        payments = [{"tender": "cash", "amount": None}]
        post("/v1/sales", op_id=secrets.token_hex(16), lines=lines, payments=payments)
    line.close()


class Peak:
    """Watches a process's resident memory from another thread."""

    def __init__(self) -> None:
        self.highest = 0.0
        self._pid: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Peak:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._ended.set()
        self._thread.join()

    def watch(self, pid: int) -> None:
        """Name the process."""
        self._pid = pid

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_S):
            if self._pid is None:
                continue
            try:
                self.highest = max(self.highest, rss_mib(self._pid))
            except (FileNotFoundError, AssertionError):
                return


def test_till_rss_mib(benchmark: Any, tmp_path: Path) -> None:
    """The highest resident memory of a till that loads 100,000 products, checks a PIN, and sells."""
    new_till(tmp_path)

    def load() -> dict[str, float]:
        with (
            stub_server(PRODUCTS) as server,
            Peak() as peak,
            till_process(tmp_path, server) as (process, url),
        ):
            peak.watch(process.pid)
            await_true(lambda: ask(f"{url}/v1/status")["loaded"], "the load")
            sell(url, 200)
            ask(f"{url}/schema/openapi.json")
            return {"peak": peak.highest, "after": rss_mib(process.pid)}

    found = benchmark.pedantic(load, rounds=1, iterations=1)
    benchmark.extra_info["till_rss_mib"] = found["peak"]
    benchmark.extra_info["till_rss_mib_measured"] = {name: round(value, 1) for name, value in found.items()}
    print(f"\ntill memory: {found}")


def test_flush_rss_growth_ratio(benchmark: Any, tmp_path: Path) -> None:
    """Memory while 100,000 sales go out, against the same till's memory once it had started; wire on the way."""
    file = new_till(tmp_path)
    with stub_server(1000) as server:
        with till_process(tmp_path, server) as (_, url):
            await_true(lambda: ask(f"{url}/v1/status")["loaded"], "the load")
        write_backlog(file, SALES)

        def flush() -> dict[str, float]:
            ask(f"{server}/hold")
            with Peak() as peak, till_process(tmp_path, server) as (process, url):
                for _ in range(200):
                    ask(f"{url}/v1/status")
                before = rss_mib(process.pid)
                peak.watch(process.pid)
                started = time.monotonic()
                ask(f"{server}/go")
                await_true(lambda: ask(f"{url}/v1/status")["acked"] == SALES, "the flush")
                seconds = time.monotonic() - started
                return {"before": before, "peak": peak.highest, "seconds": seconds}

        found = benchmark.pedantic(flush, rounds=1, iterations=1)
        counted = ask(f"{server}/count")
    assert counted["sales"] == SALES
    benchmark.extra_info["flush_rss_growth_ratio"] = found["peak"] / found["before"]
    benchmark.extra_info["flush_rss_growth_ratio_measured"] = {k: round(v, 2) for k, v in found.items()}
    benchmark.extra_info["wire_bytes_per_sale"] = counted["bytes"] / counted["sales"]
    benchmark.extra_info["wire_bytes_per_sale_measured"] = {**counted, "lines": 3, "batch": 500}
    print(f"\nflush: {found}, {counted['bytes'] / counted['sales']:.1f} bytes per sale")
