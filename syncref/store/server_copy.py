"""COPY into PostgreSQL: rows as text, and the escaping that makes them safe."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def escape(value: str) -> str:
    """Return a text value as COPY's text format wants it."""
    return value.translate(_ESCAPES)


def copy_text(cursor: Any, table: str, columns: str, text: str) -> None:
    """COPY rows that are already in COPY's text format, through a psycopg2 cursor."""
    cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", io.BytesIO(text.encode()), 1 << 18)


def copy_rows(
    connection: Connection, table: str, columns: Iterable[str], rows: Iterable[tuple[object, ...]]
) -> None:
    """COPY rows of str, int, bool and None into a table, inside the connection's transaction."""
    text = "".join("\t".join([_field(value) for value in row]) + "\n" for row in rows)
    cursor = connection.connection.cursor()
    try:
        copy_text(cursor, f'"{table}"', ", ".join(f'"{name}"' for name in columns), text)
    finally:
        cursor.close()


def _field(value: object) -> str:
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)
