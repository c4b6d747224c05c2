"""Tills on both databases: the same tests run on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncref.server.embedded import EmbeddedPostgres
from syncref.store.till_open import TillDatabase
from syncref.store.till_provision import provision
from tests.integration.conftest import new_database
from tests.integration.till.shop import Counter, fill_catalogue


@pytest.fixture(params=["sqlite", "postgresql"])
def till_dsn(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty till database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/till.db"
    cluster: EmbeddedPostgres = request.getfixturevalue("postgres_cluster")
    return new_database(cluster)


@pytest.fixture
def database(till_dsn: str) -> Iterator[TillDatabase]:
    """Yield a provisioned till's database without masters."""
    opened = TillDatabase(till_dsn)
    provision(opened, name="T01", cluster="lab")
    yield opened
    opened.close()


@pytest.fixture
def counter(database: TillDatabase) -> Counter:
    """Return a counter of a till that has a small catalogue and an open day."""
    fill_catalogue(database)
    made = Counter(database)
    made.open_day("2025-03-01")
    return made
