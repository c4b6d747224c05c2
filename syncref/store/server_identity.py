"""Credentials and token keys in the database; they are replicated before they are used."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from syncref.auth import Identity, hash_secret, verify_secret
from syncref.store.server_schema import identity, token_key


def secret_hash(connection: Connection, who: Identity) -> str | None:
    """Return the hash of an active identity, None when there is none."""
    query = select(identity.c.secret_hash).where(
        identity.c.kind == who.kind, identity.c.name == who.name, identity.c.active
    )
    found: str | None = connection.execute(query).scalar()
    return found


def put_identities(connection: Connection, secrets_by_identity: Iterable[tuple[Identity, str]]) -> int:
    """Store identities with their secrets' hashes; return how many were new or changed."""
    changed = 0
    for who, secret in secrets_by_identity:
        stored = secret_hash(connection, who)
        if stored is not None and verify_secret(stored, secret):
            continue
        row = insert(identity).values(kind=who.kind, name=who.name, secret_hash=hash_secret(secret), active=True)
        update = {"secret_hash": row.excluded.secret_hash, "active": row.excluded.active}
        connection.execute(row.on_conflict_do_update(index_elements=["kind", "name"], set_=update))
        changed += 1
    return changed


def token_keys(connection: Connection) -> dict[int, bytes]:
    """Return the secrets that sign tokens, by key id."""
    return {row.kid: bytes(row.secret) for row in connection.execute(select(token_key))}


def ensure_token_key(connection: Connection, *, now_ms: int) -> None:
    """Make the first token key unless there is one."""
    if connection.execute(select(func.count()).select_from(token_key)).scalar_one() == 0:
        connection.execute(token_key.insert().values(kid=1, secret=secrets.token_bytes(32), created_ms=now_ms))
