"""Addresses of databases, as people write them."""

from __future__ import annotations

import pytest

from syncref.errors import ConfigInvalid
from syncref.store.address import database_url, postgres_url
from syncref.store.server_open import open_engine
from syncref.store.till_open import TillDatabase

WHERE = "://me:hidden@db.example:5433/shop"


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2"])
def test_both_ways_to_write_a_postgresql_address_are_one(scheme: str) -> None:
    """For servers, tills, and whatever else connects; the password is kept."""
    for url in (
        postgres_url(scheme + WHERE),
        open_engine(scheme + WHERE).url,
        TillDatabase(scheme + WHERE)._engine.url,
    ):
        assert url.render_as_string(hide_password=False) == "postgresql+psycopg2" + WHERE


def test_a_till_may_have_a_file() -> None:
    """A server may not."""
    assert database_url("sqlite:////var/till.db").database == "/var/till.db"
    with pytest.raises(ConfigInvalid, match="not sqlite://"):
        postgres_url("sqlite:////var/till.db")


@pytest.mark.parametrize(
    "dsn", ["nonsense", "", "mysql" + WHERE, "postgresql+asyncpg" + WHERE, "postgresql://h:port/d"]
)
def test_another_address_is_refused_without_its_password(dsn: str) -> None:
    """With what is expected."""
    with pytest.raises(ConfigInvalid, match="expected postgresql://user@host:port/database") as refused:
        open_engine(dsn)
    assert "hidden" not in str(refused.value)
