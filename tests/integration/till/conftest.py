"""Tills on both databases: the same tests run on SQLite and on PostgreSQL."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from syncref.server.embedded import EmbeddedPostgres
from syncref.store.till_open import TillDatabase
from syncref.store.till_provision import provision
from tests.integration.till.shop import Counter, fill_catalogue

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def till_postgres() -> Iterator[str]:
    """Yield the DSN of an embedded PostgreSQL's maintenance database."""
    folder = Path(tempfile.mkdtemp(prefix="till-pg-"))
    folder.chmod(0o711)  # run by root, PostgreSQL is another account and has to get through
    server = EmbeddedPostgres(folder=folder / "pg", settings={"shared_buffers": "32MB", "max_connections": "40"})
    server.start()
    yield server.dsn("postgres")
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def till_dsn(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of an empty till database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/till.db"
    maintenance: str = request.getfixturevalue("till_postgres")
    name = f"till_{next(_numbers)}"
    engine = create_engine(maintenance, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return maintenance.rsplit("/", 1)[0] + f"/{name}"


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
