"""PostgreSQL as containers: a primary, and a streaming standby that was copied from it through a link.

Keeps: data lie in a volume of the engine, the password in files that only the database's account reads.
"""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chaos.fleet.plan import NodePlan
from chaos.fleet.postgres import DURABLE, SUPERUSER
from chaos.profiles import Caps

DATA = "/var/lib/postgresql"
KEYS = "/run/keys"
SCRIPTS = "/docker-entrypoint-initdb.d"
ACCOUNT = 999  # of the official image, and of its stand-in
# the official image admits everybody to databases, and nobody from elsewhere to replication
REPLICATION = "echo 'host replication all all scram-sha-256' >>\"$PGDATA/pg_hba.conf\"\n"
HEALTH_S = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A PostgreSQL container and its secrets."""

    name: str
    port: int
    password: str
    keys: Path
    scripts: Path

    def dsn(self, host: str, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database by way of a host name."""
        return f"postgresql+psycopg2://{SUPERUSER}:{self.password}@{host}:{self.port}/{database}"

    @property
    def environment(self) -> dict[str, str]:
        """What the image's entry point reads; secrets by file."""
        return {
            "POSTGRES_USER": SUPERUSER,
            "POSTGRES_DB": "postgres",
            "POSTGRES_PASSWORD_FILE": f"{KEYS}/password",
            "PGPASSFILE": f"{KEYS}/pgpass",
        }


def server(name: str, folder: Path, *, port: int, password: str | None = None) -> Server:
    """Write the files of a server into its folder; `password`: that of the primary it follows."""
    word = password or secrets.token_urlsafe(18)
    keys, scripts = folder / "keys", folder / "scripts"
    for place in (keys, scripts):
        place.mkdir(exist_ok=True)
        place.chmod(0o755)
    (scripts / "replication.sh").write_text(REPLICATION)
    private(keys / "password", word)
    private(keys / "pgpass", f"*:*:*:*:{word}\n")
    return Server(name=name, port=port, password=word, keys=keys, scripts=scripts)


def private(file: Path, text: str) -> None:
    """Write a file for the database's account; a lab that may not give files away makes it readable instead."""
    file.touch(mode=0o600)
    file.write_text(text)
    if os.geteuid() == 0:
        os.chown(file, ACCOUNT, ACCOUNT)
    else:
        file.chmod(0o644)


def node(made: Server, *, caps: Caps, settings: Mapping[str, str] | None, health_url: str) -> NodePlan:
    """Return the plan of a server's container; `settings` add to the durable ones."""
    ours = {"listen_addresses": "*", "unix_socket_directories": "/var/run/postgresql", "port": str(made.port)}
    merged = {**DURABLE, **ours, **(settings or {})}
    words = [word for key, value in merged.items() for word in ("-c", f"{key}={value}")]
    return NodePlan(
        name=made.name, argv=("postgres", *words), env=made.environment, caps=caps, health_url=health_url,
        health_deadline_s=HEALTH_S,
        stop_signal=signal.SIGINT,  # fast: SIGTERM would wait for every client to leave
    )  # fmt: skip


def copy_argv(host: str, port: int, slot: str) -> tuple[str, ...]:
    """Return the command that copies a primary into an emptied data folder, with a slot made anew."""
    words = ("pg_basebackup", "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--create-slot",
             f"--slot={slot}", f"--host={host}", f"--port={port}", f"--username={SUPERUSER}",
             "--no-password")  # fmt: skip
    return ("sh", "-c", 'rm -rf "$PGDATA" && exec "$@" --pgdata="$PGDATA"', "copy", *words)
