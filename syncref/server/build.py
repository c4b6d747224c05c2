"""What this server is built from, so that two servers can be compared before one must stand in for the other."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Connection, text

from syncref.config import ServerConfig

_COLUMNS = text("""
SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable
FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1
""")


@lru_cache(maxsize=1)
def build_digest() -> str:
    """Return a digest of syncref's source: equal on two servers that run the same code."""
    digest = hashlib.sha256()
    root = Path(__file__).parent.parent
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def schema_digest(connection: Connection) -> str:
    """Return a digest of the database's tables and columns as they are."""
    columns = "\n".join(connection.execute(_COLUMNS).scalars())
    return hashlib.sha256(columns.encode()).hexdigest()[:16]


def shared_settings(config: ServerConfig) -> dict[str, int]:
    """Return what must be configured alike on servers that stand in for each other."""
    return {
        "stock_fold_ms": config.stock_fold_ms,
        "feed_lag_alarm_ms": config.feed_lag_alarm_ms,
        "change_retention_days": config.change_retention_days,
        "token_ttl_s": config.token_ttl_s,
    }
