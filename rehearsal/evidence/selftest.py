"""Whether the statements that read a witness show all of it: nothing merged, nothing lost.

Keeps: a statement is trusted only if, in a scratch copy, a planted duplicate shows as one row more and a deletion
as one row less. A DISTINCT hides the first; a join that multiplies or drops rows shows in the plain count.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rehearsal.evidence.databases import Database
from rehearsal.evidence.tables import TILL, in_dialect

READS = {"receipts": "receipt", "lines": "line", "payments": "payment", "journal": "journal"}


def lossy(database: Path, statements: Mapping[str, str] = TILL) -> list[str]:
    """Return what the statements of a till hide, in words; empty when they are faithful.

    `database` is a till's SQLite file with at least one row in each table; it is not changed.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for file, table in READS.items():
            copy = Path(folder) / f"{file}.db"
            shutil.copyfile(database, copy)
            found += _probe(copy, file, table, statements[file])
    return found


def _probe(copy: Path, file: str, table: str, statement: str) -> list[str]:
    """Plant a duplicate in one table of a scratch copy, then delete a row, and look at what is read."""
    with contextlib.closing(sqlite3.connect(copy)) as scratch:
        rows = _count(scratch, table)
        if not rows:
            return [f"{file}: {table} is empty, so nothing can be told"]
        shown = [("as it is", rows, _read(copy, statement))]
        # without its keys, for those would refuse the duplicate
        scratch.execute(f"CREATE TABLE plain AS SELECT * FROM {table}")  # noqa: S608 - a name of READS
        scratch.execute(f"DROP TABLE {table}")
        scratch.execute(f"ALTER TABLE plain RENAME TO {table}")
        scratch.execute(f"INSERT INTO {table} SELECT * FROM {table} LIMIT 1")  # noqa: S608 - same
        scratch.commit()
        shown.append(("with a duplicate planted", rows + 1, _read(copy, statement)))
        scratch.execute(f"DELETE FROM {table}")  # noqa: S608 - same
        scratch.commit()
        shown.append(("with every row deleted", 0, _read(copy, statement)))
    return [
        f"{file}: {table} has {there} rows {how}, {read} are read" for how, there, read in shown if read != there
    ]


def _read(copy: Path, statement: str) -> int:
    """Return how many rows a statement reads."""
    with Database(f"sqlite:///{copy}").snapshot() as snapshot:
        _, rows = snapshot.rows(in_dialect(statement, snapshot.hex))
        return sum(1 for _ in rows)


def _count(scratch: sqlite3.Connection, table: str) -> int:
    return int(scratch.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a name of READS
