"""Entries that are not counted (set aside, or duplicates), and their one resolution each."""

from __future__ import annotations

from sqlalchemy import Connection, Row, text
from sqlalchemy.dialects.postgresql import insert

from syncref.domain.identity import Key
from syncref.errors import NotFound, RuleBroken
from syncref.store.server_schema import resolution

_UNCOUNTED = """
SELECT o.till, o.incarnation, o.seq, o.reason, r.action AS resolution FROM (
  SELECT till, incarnation, seq, reason FROM aside
  UNION ALL SELECT till, incarnation, seq, 'op id ' || op_id || ' was posted before' FROM receipt
    WHERE status = 'duplicate') o
LEFT JOIN resolution r USING (till, incarnation, seq)
"""


def uncounted(connection: Connection, *, limit: int = 1000) -> list[Row[tuple[str, bytes, int, str, str | None]]]:
    """Return entries that are not counted, unresolved ones first."""
    order = " ORDER BY r.action IS NOT NULL, o.till, o.incarnation, o.seq LIMIT :limit"
    return list(connection.execute(text(_UNCOUNTED + order), {"limit": limit}))


def resolve(
    connection: Connection, key: Key, seq: int, *, op_id: str, action: str, clerk: str, at_ms: int
) -> None:
    """Resolve an entry, once. Raises NotFound, and RuleBroken when it was resolved under another op id."""
    where = " WHERE o.till = :till AND o.incarnation = :incarnation AND o.seq = :seq"
    of = {"till": key.till, "incarnation": key.incarnation, "seq": seq}
    if connection.execute(text(_UNCOUNTED + where), of).first() is None:
        raise NotFound(f"{key.till} has no uncounted entry {seq} in that journal")
    row = insert(resolution).values(**of, op_id=op_id, action=action, clerk=clerk, at_ms=at_ms)
    if connection.execute(row.on_conflict_do_nothing().returning(resolution.c.seq)).first() is None:
        raise RuleBroken(f"entry {seq} of {key.till} is resolved already")
