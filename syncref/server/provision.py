"""Provisioning: schema, the first term, the token key, identities. Running it again changes nothing."""

from __future__ import annotations

import csv
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from syncref.auth import Identity
from syncref.config import NAME_PATTERN
from syncref.domain.identity import ID_BYTES, Term
from syncref.errors import ConfigInvalid
from syncref.server.clock import now_ms
from syncref.server.embedded import embedded
from syncref.store.server_identity import ensure_token_key, put_identities
from syncref.store.server_open import create_database, create_schema, transaction
from syncref.store.server_term import persist_term, read_term

DATABASE = "syncref"


@contextmanager
def database_of(database: str | None, data_dir: Path | None) -> Iterator[str]:
    """Yield the DSN of a configuration; an embedded PostgreSQL that does not run yet runs meanwhile."""
    if database is not None:
        yield database
        return
    assert data_dir is not None, "config checks that one of the two is there"
    cluster = embedded(data_dir)
    started = cluster.start()
    try:
        create_database(cluster.dsn("postgres"), DATABASE)
        yield cluster.dsn(DATABASE)
    finally:
        if started:
            cluster.stop()


def provision(engine: Engine, identities: list[tuple[Identity, str]]) -> tuple[Term, int]:
    """Make a database ready to serve; return its term and how many identities were new or changed."""
    create_schema(engine)
    with transaction(engine) as connection:
        row = read_term(connection)
        if row is None:
            cluster = f"shop-{secrets.token_hex(4)}"
            persist_term(connection, Term(cluster=cluster, n=1, id=secrets.token_bytes(ID_BYTES)))
            row = read_term(connection)
            assert row is not None
        ensure_token_key(connection, now_ms=now_ms())
        return row.term, put_identities(connection, identities)


def read_identities(kind: str, path: Path) -> list[tuple[Identity, str]]:
    """Return identities and secrets of a CSV file with the columns name and secret. Raises ConfigInvalid."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or not {"name", "secret"} <= set(reader.fieldnames):
                raise ConfigInvalid(f"{path}: line 1: expected the columns name,secret")
            return [_identity(kind, path, reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigInvalid(f"{path}: can't be read: {error}") from error


def _identity(kind: str, path: Path, line: int, row: dict[str, str | None]) -> tuple[Identity, str]:
    name, secret = row["name"] or "", row["secret"] or ""
    if kind == "till" and not NAME_PATTERN.fullmatch(name):
        raise ConfigInvalid(f"{path}: line {line}: name {name!r}: expected 1 to 16 of A-Z, 0-9 and -")
    if not 1 <= len(name) <= 64:
        raise ConfigInvalid(f"{path}: line {line}: name {name!r}: expected 1 to 64 characters")
    if not 8 <= len(secret) <= 256:
        raise ConfigInvalid(f"{path}: line {line}: secret of {name}: expected 8 to 256 characters")
    return Identity(kind=kind, name=name), secret
