"""A database's address as people write it, as SQLAlchemy is to take it.

Keeps: `postgresql://` and `postgresql+psycopg2://` are the same everywhere. SQLAlchemy itself takes the former for
another driver, which is not installed.
"""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from syncref.errors import ConfigInvalid

POSTGRES_DRIVER = "postgresql+psycopg2"
EXPECTED = "expected postgresql://user@host:port/database"


def database_url(dsn: str) -> URL:
    """Return the address with this program's driver. Raises ConfigInvalid, without showing a password."""
    try:
        url = make_url(dsn)
    except (ArgumentError, ValueError) as error:
        raise ConfigInvalid(f"the database's address can't be read: {EXPECTED}") from error
    return url.set(drivername=POSTGRES_DRIVER) if url.drivername == "postgresql" else url


def postgres_url(dsn: str) -> URL:
    """Return the address of a PostgreSQL. Raises ConfigInvalid for any other."""
    url = database_url(dsn)
    if url.drivername != POSTGRES_DRIVER:
        raise ConfigInvalid(f"the database's address can't be used: {EXPECTED}, not {url.drivername}://")
    return url
