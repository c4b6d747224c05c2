"""A server's ingest on a fresh durable PostgreSQL, and batches ready for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rehearsal.gate.counting.server import greeted, provisioned
from rehearsal.gate.counting.trade import batches_of, key_of, payloads
from syncref.server.ingest import Ingest
from syncref.store.server_open import open_engine
from syncref.wire.sync import Batch
from tests.postgres import running_postgres


@contextmanager
def ingesting(*, batches: int, entries: int) -> Iterator[tuple[Ingest, list[Batch]]]:
    """Yield an ingest that has met the till, and the till's batches in order."""
    with running_postgres() as postgres:
        engine = open_engine(postgres.dsn("postgres"), connections=1)
        try:
            cluster = provisioned(engine)
            ingest = Ingest(engine, lambda: 1_740_800_000_000)
            key = key_of(1)
            answer = greeted(ingest, key, cluster=cluster)
            sales = payloads(1, batches * entries)
            yield ingest, list(batches_of(key, sales, answer, cluster=cluster, size=entries))
        finally:
            engine.dispose()
