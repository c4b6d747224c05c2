"""The server's ingest on a real PostgreSQL: statements and commits of a handshake, a batch and a repeat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine, text

from rehearsal.gate.counting.statements import Statements
from rehearsal.gate.counting.trade import DAY_MS, PRODUCTS, batches_of, key_of, payloads
from syncref.auth import Identity
from syncref.domain.identity import Key, genesis_hash
from syncref.server.embedded import EmbeddedPostgres
from syncref.server.ingest import Ingest
from syncref.server.provision import provision
from syncref.store.server_open import open_engine
from syncref.wire.sync import Batch, Hello, HelloAnswer

LARGE, SMALL = 500, 1


def count(folder: Path) -> dict[str, int]:
    """Count on a PostgreSQL in a folder of its own, which is stopped afterwards."""
    postgres = EmbeddedPostgres(folder=folder / "pg", settings={"fsync": "off", "shared_buffers": "64MB"})
    postgres.start()
    try:
        engine = open_engine(postgres.dsn("postgres"), connections=1)
        counter = Statements()
        counter.watch_psycopg2(engine)
        try:
            return _counted(engine, counter)
        finally:
            engine.dispose()
    finally:
        postgres.stop(mode="immediate")


def _counted(engine: Engine, counter: Statements) -> dict[str, int]:
    cluster = provisioned(engine)
    ingest = Ingest(engine, lambda: DAY_MS)
    key = key_of(1)
    sales = payloads(1, 2 * LARGE + 2 * SMALL)
    counter.take()
    answer = greeted(ingest, key, cluster=cluster)
    found = _named("hello", counter)
    large = list(batches_of(key, sales[: 2 * LARGE], answer, cluster=cluster, size=LARGE))
    ingest.batch(large[0])
    found |= _named(f"first_batch_of_{LARGE}", counter)
    ingest.batch(large[1])
    found |= _named(f"batch_of_{LARGE}", counter)
    ingest.batch(large[1])
    found |= _named("batch_again", counter)
    small = _after(key, sales, answer, cluster=cluster)
    ingest.batch(small[0])
    counter.take()
    ingest.batch(small[1])
    return found | _named(f"batch_of_{SMALL}", counter)


def _after(key: Key, sales: Sequence[bytes], answer: HelloAnswer, *, cluster: str) -> list[Batch]:
    """Return the single sales that follow the large batches."""
    every = list(batches_of(key, sales, answer, cluster=cluster, size=SMALL))
    return every[2 * LARGE :]


def _named(what: str, counter: Statements) -> dict[str, int]:
    statements, commits = counter.take()
    return {f"{what}.sql_statements": statements, f"{what}.commits": commits}


def provisioned(engine: Engine) -> str:
    """Provision a shop of one till with the products that are sold; return its cluster's name."""
    term, _ = provision(engine, [(Identity(kind="till", name="T01"), "a-long-secret")])
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO tax_rate (tax_code, rate_bp, version) VALUES ('A', 1900, 1)"))
        insert = text("INSERT INTO product (sku, name, tax_code, version) VALUES (:sku, :sku, 'A', 1)")
        connection.execute(insert, [{"sku": f"P{n:06d}"} for n in range(PRODUCTS)])
    return term.cluster


def greeted(ingest: Ingest, key: Key, *, cluster: str) -> HelloAnswer:
    """Shake hands as a new till does."""
    hello = Hello(
        till=key.till, incarnation=key.incarnation, term=None, head_seq=0,
        head_hash=genesis_hash(cluster=cluster, key=key), acked=0, safe=0, cursor_pos=0,
    )  # fmt: skip
    return ingest.hello(hello)
