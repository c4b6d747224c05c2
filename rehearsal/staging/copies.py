"""Copies of a till's database, whole and of one instant: a SQLite file, or a PostgreSQL database beside it.

Keeps: what was read of a copy is what it holds for ever; nobody is connected to a database that is replaced.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg2
from psycopg2 import sql

from chaos.errors import FaultFailed
from chaos.fleet import postgres
from chaos.fleet.plan import Step
from chaos.fleet.process import ProcessFleet
from rehearsal.evidence.databases import Database

BESIDE = ("-wal", "-shm", ".reserve")
STEP_S = 120.0


def copy_database(fleet: ProcessFleet, source: Database, name: str, *, node: str) -> Database:
    """Copy a database that is in use to a new one called `name`; raises ChaosError.

    `node` is the PostgreSQL node of a till that is on PostgreSQL.
    """
    if source.is_sqlite:
        return _copy_file(source, source.file.with_name(f"{name}.db"))
    target = Database(fleet.dsn(name, node=node))
    dump = fleet.dir("copies") / f"{name}.dump"
    tools = postgres.binaries(None)
    _run(fleet, f"copy-{name}", source, str(tools / "pg_dump"), "-Fc", "-f", str(dump))
    _run(
        fleet, f"copy-{name}", target, str(tools / "pg_restore"), "--exit-on-error", "-d", _name(target), str(dump)
    )
    dump.unlink()
    return target


def replace_database(fleet: ProcessFleet, target: Database, copy: Database) -> None:
    """Make a copy the database in place of the one that is there; the copy is gone afterwards."""
    remove_database(target)
    if target.is_sqlite:
        copy.file.replace(target.file)
    else:
        _as_owner(target, "ALTER DATABASE {} RENAME TO {}", _name(copy), _name(target))


def remove_database(target: Database, *, empty: bool = False) -> None:
    """Lose a database; `empty`: a PostgreSQL server still has one of that name, with nothing in it."""
    if target.is_sqlite:
        for path in (target.file, *(Path(f"{target.file}{suffix}") for suffix in BESIDE)):
            path.unlink(missing_ok=True)
        return
    _as_owner(target, "DROP DATABASE {} WITH (FORCE)", _name(target))
    if empty:
        _as_owner(target, "CREATE DATABASE {}", _name(target))


def _copy_file(source: Database, path: Path) -> Database:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{source.file}?mode=ro", uri=True, timeout=30)) as original:
            with contextlib.closing(sqlite3.connect(path)) as copy:
                original.backup(copy)
            shutil.copymode(source.file, path)
    except (sqlite3.Error, OSError) as error:
        raise FaultFailed(f"{source.file} can't be copied: {error}") from error
    return Database(f"sqlite:///{path}")


def _run(fleet: ProcessFleet, name: str, database: Database, *argv: str) -> None:
    """Run a program of PostgreSQL against a database; its password is never in an argument."""
    parts = urlsplit(database.dsn)
    env = {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": _name(database),
    }
    fleet.run_step(Step(name=name, argv=argv, env=env, deadline_s=STEP_S))


def _as_owner(database: Database, statement: str, *names: str) -> None:
    admin = urlsplit(database.dsn)._replace(path="/postgres").geturl()
    try:
        with contextlib.closing(psycopg2.connect(admin, connect_timeout=10)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
    except psycopg2.Error as error:
        raise FaultFailed(f"{database.shown}: {str(error).strip()}") from error


def _name(database: Database) -> str:
    return urlsplit(database.dsn).path.lstrip("/")
