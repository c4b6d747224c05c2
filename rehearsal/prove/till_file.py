"""A till's SQLite file with a few made-up receipts, for those who test how a till is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, LargeBinary, Table, create_engine

from syncref.store.till_schema import metadata

ROWS = {"till": 1, "receipt": 3, "line": 3, "payment": 2, "journal": 3}


def till_file(path: Path) -> Path:
    """Make the file: three receipts, each with its journal entry and a line; the first two are paid."""
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    with engine.begin() as connection:
        for name, rows in ROWS.items():
            table = metadata.tables[name]
            connection.execute(table.insert(), [_row(table, number) for number in range(1, rows + 1)])
    engine.dispose()
    return path


def _row(table: Table, number: int) -> dict[str, Any]:
    return {column.name: _value(column, number) for column in table.columns}


def _value(column: Column[Any], number: int) -> Any:
    if isinstance(column.type, LargeBinary):
        return b"i" * 16 if column.name == "incarnation" else bytes([number]) * 16
    if isinstance(column.type, Integer) or column.type.python_type is bool:
        return number if column.type.python_type is not bool else False
    return f"{column.name}-{number}"
