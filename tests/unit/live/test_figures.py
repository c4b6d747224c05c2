"""Latency is read from the cashiers' histories as they grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.history import History, now_ms
from rehearsal.live.figures import RECENT_MS, WINDOW_MS, Latencies, percentile


def sell(history: History, till: str, ms: float, *, f: str = "sale") -> None:
    """Write an operation that took so long."""
    of = history.invoke(f=f, op_id="0" * 32, till=till, asked={})
    history.complete("ok", of=of, f=f, op_id="0" * 32, till=till, ms=ms, more={})


def test_what_is_added_is_read_once_and_leaves_the_window(tmp_path: Path) -> None:
    """Half a line waits for its rest; operations that are no receipt do not count."""
    history, latencies = History(tmp_path, "c0"), Latencies(tmp_path)
    for ms in (10, 20, 30):
        sell(history, "T01", ms)
    sell(history, "T01", 9000, f="open")
    now = now_ms()
    for _ in range(2):
        latencies.read(now)
    assert latencies.p99_ms("T01") == 30
    assert latencies.p99_ms("T02") is None
    assert latencies.recent(now) == (3 / (RECENT_MS / 1000), 20, 30)
    file = tmp_path / "history-c0.jsonl"
    whole = b'{"type":"ok","f":"sale","till":"T02","at_ms":%d,"ms":5}\n' % now
    with file.open("ab", buffering=0) as out:
        out.write(whole[:20])
        latencies.read(now)
        assert latencies.p99_ms("T02") is None
        out.write(whole[20:])
    latencies.read(now)
    assert latencies.p99_ms("T02") == 5
    latencies.read(now + WINDOW_MS + 1000)
    assert latencies.p99_ms("T01") is None
    history.end()


def test_refusals_and_repeated_attempts_are_no_receipts(tmp_path: Path) -> None:
    """A till that is down refuses at once, and would look busy and fast; an unknown outcome is waited for."""
    history, latencies = History(tmp_path, "c0"), Latencies(tmp_path)
    for type_, ms, repeat in (("ok", 40, False), ("fail", 1, False), ("info", 5000, False), ("ok", 2, True)):
        of = history.invoke(f="sale", op_id="0" * 32, till="T01", asked={}, repeat=repeat)
        history.complete(type_, of=of, f="sale", op_id="0" * 32, till="T01", ms=ms, more={})
    history.end()
    now = now_ms()
    latencies.read(now)
    assert latencies.recent(now) == (1 / (RECENT_MS / 1000), 40, 5000)
    assert latencies.p99_ms("T01") == 5000


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [
        ([], 0.5, None),
        ([7], 0.99, 7),
        ([1, 2, 3, 4], 0.5, 2),
        (range(1, 101), 0.99, 99),
        (range(1, 102), 0.99, 100),
    ],
)
def test_a_percentile_is_the_least_value_that_the_share_does_not_exceed(
    values: list[float], share: float, found: float | None
) -> None:
    """One of the values, never something between them."""
    assert percentile(values, share) == found
