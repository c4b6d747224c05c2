"""The till's metrics: its status as figures, and what its counter did since the process began."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import InfoMetricFamily, Metric

from syncref.metrics import counters, gauge, gauges, seconds
from syncref.wire.till_api import StatusAnswer


class Counts:
    """What a till's counter did."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._operations = Counter(
            "syncref_till_operations", "Operations done at the counter, repeats not counted.", ("kind",),
            registry=registry,
        )  # fmt: skip
        self._replies = Counter(
            "syncref_till_replies", "Answers to the counter, by whether the server had the entry then.", ("sync",),
            registry=registry,
        )  # fmt: skip

    def done(self, kind: str, *, made_now: bool, sync: str) -> None:
        """Count an operation of this kind (sale, refund, ...) that was answered."""
        if made_now:
            self._operations.labels(kind).inc()
        self._replies.labels(sync).inc()


def families(status: StatusAnswer, *, failures: tuple[int, int]) -> list[Metric]:
    """Return the status as metrics; `failures` are those of the upload and of the masters."""
    info = InfoMetricFamily("syncref_till", "Which till this is, and which journal it writes.")
    info.add_metric([], {"till": status.till, "incarnation": status.incarnation})
    up, down = failures
    return [
        info,
        gauge("till_online", "1 when the till reaches its server.", status.mode == "online"),
        gauge("till_day_open", "1 while a business day is open.", status.day.open),
        gauge("till_head_sequence", "Last entry of the till's journal.", status.head),
        gauge("till_acked_sequence", "Last entry that the live server said it has.", status.acked),
        gauge("till_safe_sequence", "Last entry that a standby has too.", status.safe),
        gauge("till_backlog_entries", "Entries that the server did not ack yet.", status.backlog),
        gauge("till_loaded", "1 once the masters were loaded and verified.", status.loaded),
        gauge("till_alarm", "1 while there is an alarm; GET /v1/status says which.", status.alarm is not None),
        gauge("till_term", "Number of the term whose masters the till has.", status.cursor.term_n),
        gauge("till_masters_position", "How far the till has the server's changes.", status.cursor.pos),
        gauge("till_last_contact_timestamp_seconds", "When a server last answered, Unix time of the till.",
              seconds(status.last_contact_ms)),
        gauge("till_masters_applied_timestamp_seconds", "When masters were last applied, Unix time of the till.",
              seconds(status.masters_ms)),
        gauge("till_sync_threads_alive", "1 while all threads of the sync run.", status.sync.threads_alive),
        gauges("till_disk", "1 for the state of the till's disk.", "state", [(status.sync.disk, 1.0)]),
        counters("till_sync_failures", "Failed exchanges with servers, by direction.", "direction",
                 [("up", up), ("down", down)]),
    ]  # fmt: skip
