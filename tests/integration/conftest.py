"""A real embedded PostgreSQL, once per session, and fresh databases in it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine

from syncref.server.embedded import EmbeddedPostgres
from tests.integration.server.pair import Pair
from tests.postgres import running_postgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[EmbeddedPostgres]:
    """Yield a running PostgreSQL without fsync: tests lose nothing by a power cut."""
    with running_postgres(fsync="off", shared_buffers="64MB", max_wal_size="256MB") as server:
        yield server


def new_database(cluster: EmbeddedPostgres) -> str:
    """Create an empty database; return its DSN."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    engine = create_engine(cluster.dsn("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return cluster.dsn(name)


@pytest.fixture(scope="module")
def postgres_dsn(postgres_cluster: EmbeddedPostgres) -> str:
    """Return the DSN of an empty database that the tests of one module share."""
    return new_database(postgres_cluster)


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Yield a live database and its streaming standby; no server runs yet."""
    made = Pair()
    try:
        made.stage()
        yield made
    finally:
        made.close()
