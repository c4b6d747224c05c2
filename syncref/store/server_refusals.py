"""What was refused for somebody's sake of security, kept so that every worker's status shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from syncref.auth import Identity

ROWS_MAX = 2000
_ADD = text("""
INSERT INTO refusal (kind, name, code, count, first_ms, last_ms, detail)
VALUES (:kind, :name, :code, :count, :last_ms, :last_ms, :detail)
ON CONFLICT (kind, name, code) DO UPDATE SET count = refusal.count + excluded.count,
  last_ms = greatest(refusal.last_ms, excluded.last_ms), detail = excluded.detail
""")
_TRIM = text(f"""
DELETE FROM refusal WHERE (kind, name, code) IN
  (SELECT kind, name, code FROM refusal ORDER BY last_ms DESC OFFSET {ROWS_MAX})
""")
_READ = text("""
SELECT kind, name, code, count AS times, first_ms, last_ms, detail FROM refusal ORDER BY last_ms DESC LIMIT 50
""")
_LAST = text("SELECT last_ms FROM refusal WHERE kind = :kind AND name = :name AND code = :code")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """How often an identity was refused for one reason; `detail` is of the last time. Times by the server."""

    who: Identity
    code: str
    count: int
    first_ms: int
    last_ms: int
    detail: str


def add_refusals(connection: Connection, found: Iterable[Refused]) -> None:
    """Add counts; the oldest rows beyond ROWS_MAX go. Nothing waits for a standby."""
    connection.execute(text("SET LOCAL synchronous_commit = 'off'"))
    rows = [
        {"kind": r.who.kind, "name": r.who.name, "code": r.code, "count": r.count, "last_ms": r.last_ms,
         "detail": r.detail}
        for r in sorted(found, key=lambda r: (r.who.kind, r.who.name, r.code))
    ]  # fmt: skip
    if rows:
        connection.execute(_ADD, rows)
        connection.execute(_TRIM)


def read_refusals(connection: Connection) -> list[Refused]:
    """Return the latest, newest first."""
    return [
        Refused(
            who=Identity(kind=row.kind, name=row.name), code=row.code, count=row.times, first_ms=row.first_ms,
            last_ms=row.last_ms, detail=row.detail,
        )
        for row in connection.execute(_READ)
    ]  # fmt: skip


def last_refused_ms(connection: Connection, who: Identity, code: str) -> int | None:
    """Return when an identity was last noted for a reason, None: never."""
    found: int | None = connection.execute(_LAST, {"kind": who.kind, "name": who.name, "code": code}).scalar()
    return found
