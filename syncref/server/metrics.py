"""The server's metrics: what the database knows, the same from every worker, and what the workers counted."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import Metric

from syncref.core.failover import Role
from syncref.metrics import counters, gauge, gauges
from syncref.server.overview import ServerStatus
from syncref.store.server_standbys import StandbySeen


class Counts:
    """What a worker counts of its uploads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._batches = Counter(
            "syncref_server_ingest_batches",
            "Uploads stored, those that held nothing new included.",
            registry=registry,
        )
        self._entries = Counter(
            "syncref_server_ingest_entries",
            "Journal entries in stored uploads, repeated ones included.",
            registry=registry,
        )
        self._bytes = Counter(
            "syncref_server_ingest_bytes", "Bytes of stored uploads, compressed.", registry=registry
        )

    def stored(self, *, entries: int, size: int) -> None:
        """Count an upload of `size` bytes that was stored."""
        self._batches.inc()
        self._entries.inc(entries)
        self._bytes.inc(size)


def families(status: ServerStatus, standbys: Iterable[StandbySeen]) -> list[Metric]:
    """Return the status as metrics."""
    tills = [(seen.till, seen) for seen in status.tills]
    standbys = list(standbys)
    return [
        gauges("server_role", "1 for the server's role.", "role",
               [(role.value, float(status.role == role.value)) for role in Role]),
        gauge("server_term", "Number of the current term.", status.term_n),
        gauge("server_alarms", "Alarms that are on; GET /v1/status names them.", len(status.alarms)),
        counters("server_journal_entries", "Journal entries stored, per till, of its newest journal.", "till",
                 [(till, seen.seq) for till, seen in tills]),
        gauges("server_till_last_contact_timestamp_seconds", "When a till last uploaded or said hello, Unix time.",
               "till", [(till, seen.contact_ms / 1000) for till, seen in tills]),
        gauge("server_feed_lag_seconds", "Age of the oldest change of masters that no till can read yet.",
              status.feed_lag_ms / 1000),
        gauge("server_oldest_transaction_seconds", "Age of the oldest writing transaction.",
              status.oldest_transaction_ms / 1000),
        gauge("server_flags_open", "Entries posted with a flag that is not resolved.", status.flags_open),
        gauge("server_duplicates", "Entries whose operation was posted before: not counted.", status.duplicates),
        gauge("server_asides_open", "Entries set aside and not resolved.", status.asides_open),
        gauge("server_stock_behind_entries", "Journal entries not yet in the stock.", status.stock_behind_entries),
        gauges("server_standby_streaming", "1 while a standby follows in streaming.", "standby",
               [(seen.name, float(seen.streaming)) for seen in standbys]),
        gauges("server_standby_lag_bytes", "Log that a standby has not replayed yet.", "standby",
               [(seen.name, seen.behind_bytes) for seen in standbys if seen.behind_bytes is not None]),
        gauges("server_standby_lag_seconds", "How long a standby took to replay; absent while nothing is written.",
               "standby", [(seen.name, seen.behind_ms / 1000) for seen in standbys if seen.behind_ms is not None]),
    ]  # fmt: skip
