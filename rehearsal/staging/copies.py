"""Copies of a till's database, whole and of one instant: a SQLite file, or a PostgreSQL database beside it.

Keeps: what was read of a copy is what it holds for ever; nobody is connected to a database that is replaced.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg2
from psycopg2 import sql

from chaos.errors import FaultFailed
from chaos.fleet import postgres
from chaos.fleet.base import Fleet
from rehearsal.evidence.databases import Database

BESIDE = ("-wal", "-shm", ".reserve")
TOOL_S = 120.0


def copy_database(fleet: Fleet, source: Database, name: str, *, node: str) -> Database:
    """Copy a database that is in use to a new one called `name`; raises ChaosError.

    `node` is the PostgreSQL node of a till that is on PostgreSQL.
    """
    if source.is_sqlite:
        return _copy_file(source, source.file.with_name(f"{name}.db"))
    target = Database(fleet.dsn(name, node=node))
    dump = fleet.dir("copies") / f"{name}.dump"
    tools = postgres.binaries(None)
    _run(source, str(tools / "pg_dump"), "-Fc", "-f", str(dump))
    _run(target, str(tools / "pg_restore"), "--exit-on-error", "-d", _name(target), str(dump))
    dump.unlink()
    return target


def replace_database(fleet: Fleet, target: Database, copy: Database) -> None:
    """Make a copy the database in place of the one that is there; the copy is gone afterwards."""
    remove_database(target)
    if target.is_sqlite:
        with _translated(target):
            copy.file.replace(target.file)
    else:
        _as_owner(target, "ALTER DATABASE {} RENAME TO {}", _name(copy), _name(target))


def remove_database(target: Database, *, empty: bool = False) -> None:
    """Lose a database; `empty`: a PostgreSQL server still has one of that name, with nothing in it."""
    if target.is_sqlite:
        with _translated(target):
            for path in (target.file, *(Path(f"{target.file}{suffix}") for suffix in BESIDE)):
                path.unlink(missing_ok=True)
        return
    _as_owner(target, "DROP DATABASE IF EXISTS {} WITH (FORCE)", _name(target))
    if empty:
        _as_owner(target, "CREATE DATABASE {}", _name(target))


@contextlib.contextmanager
def _translated(target: Database) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FaultFailed(f"{target.file} can't be replaced: {error}") from error


def _copy_file(source: Database, path: Path) -> Database:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{source.file}?mode=ro", uri=True, timeout=30)) as original:
            with contextlib.closing(sqlite3.connect(path)) as copy:
                original.backup(copy)
            shutil.copymode(source.file, path)
    except (sqlite3.Error, OSError) as error:
        raise FaultFailed(f"{source.file} can't be copied: {error}") from error
    return Database(f"sqlite:///{path}")


def _run(database: Database, *argv: str) -> None:
    """Run a program of PostgreSQL against a database; its password is never in an argument."""
    parts = urlsplit(database.dsn)
    env = {
        **os.environ,
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": _name(database),
    }
    try:
        done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=TOOL_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FaultFailed(f"{database.shown} can't be copied: {error}") from error
    if done.returncode:
        raise FaultFailed(f"{database.shown} can't be copied: {done.stderr.strip()[-500:]}")


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
