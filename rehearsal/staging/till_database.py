"""Where a till keeps its journal: a SQLite file, or a PostgreSQL database.

In a container the till's PostgreSQL runs beside it, within the same caps and gone with the same kill. Tills that
are processes share one PostgreSQL server outside their caps.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from chaos.fleet.base import Fleet
from chaos.fleet.postgres import SUPERUSER
from rehearsal.staging.configs import write_secret

TILL_POSTGRES = "tillpostgres"
NAME = "till"
KEY_FILE = "postgres.key"


def database_url(fleet: Fleet, till: str, kind: str) -> str:
    """Return the SQLAlchemy URL of a till's database, the same for lab and till; `kind` as in a scenario."""
    if kind != "postgresql":
        return f"sqlite:///{fleet.dir(till) / 'till.db'}"
    if not fleet.tills_bring_postgres:
        return fleet.dsn(f"till_{till.lower()}", node=TILL_POSTGRES)
    word = secrets.token_urlsafe(18)
    write_secret(secret_file(fleet, till), word)
    return f"postgresql+psycopg2://{SUPERUSER}:{word}@127.0.0.1:{fleet.port(port_name(till))}/{NAME}"


def seen_from_elsewhere(fleet: Fleet, till: str, url: str) -> str:
    """Return a till's database as another node finds it."""
    if not brings_its_own(fleet, till):
        return url
    return url.replace("@127.0.0.1:", f"@{fleet.peer(till).rpartition(':')[0]}:")


def with_database(fleet: Fleet, till: str, argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return a till's command, begun together with its own PostgreSQL where it has one."""
    if not brings_its_own(fleet, till):
        return argv
    words = ("--data", str(fleet.dir(till) / "postgres"), "--port", str(fleet.port(port_name(till))),
             "--password-file", str(secret_file(fleet, till)), "--database", NAME,
             "--listen", "*")  # fmt: skip
    return (fleet.python, "-m", "chaos.fleet.withpostgres", *words, "--", *argv)


def ports(fleet: Fleet, till: str) -> tuple[str, ...]:
    """Return what a till listens on besides its own port, by name."""
    return (port_name(till),) if brings_its_own(fleet, till) else ()


def brings_its_own(fleet: Fleet, till: str) -> bool:
    """Tell whether a till's PostgreSQL runs beside it."""
    return secret_file(fleet, till).exists()


def secret_file(fleet: Fleet, till: str) -> Path:
    """Return where the password of a till's own PostgreSQL lies."""
    return fleet.dir(till) / KEY_FILE


def port_name(till: str) -> str:
    """Return the name of the port on which a till's own PostgreSQL listens."""
    return f"{till} postgres"
