"""A node with a PostgreSQL of its own: both under the same caps, both gone with the same kill.

    python -m chaos.fleet.withpostgres --data DIR --port 5432 --password-file FILE --database till -- COMMAND...

Makes the cluster on the first start, then runs the server and, once it answers, the command. SIGTERM ends the
command first and the server after it; when either ends by itself, the other is ended and the exit code tells.
As root, the server runs as the system's account for databases.
"""

from __future__ import annotations

import argparse
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import FrameType

import psycopg2
from psycopg2 import sql

from chaos.errors import CannotRun
from chaos.fleet.health import healthy
from chaos.fleet.postgres import DURABLE, SUPERUSER, binaries
from chaos.fleet.rundir import database_account

READY_S = 60.0
POLL_S = 0.1
DATABASE_LOST = 70
# a till has 1 GiB for everything
SMALL = {"shared_buffers": "32MB", "max_connections": "30", "max_wal_size": "256MB", "wal_level": "replica"}


class Told(Exception):
    """We were asked to end."""


def run(command: Sequence[str], *, data: Path, port: int, password: str, database: str, listen: str) -> int:
    """Run a command with its database until it ends, and return its exit code."""

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise Told

    signal.signal(signal.SIGTERM, end)
    account = database_account()
    if not (data / "PG_VERSION").exists():
        initialise(data, password, account)
    settings = {**DURABLE, **SMALL, "listen_addresses": listen, "port": str(port)}
    settings["unix_socket_directories"] = ""
    words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    server = subprocess.Popen(
        [str(binaries(account) / "postgres"), "-D", str(data), *words], user=account, cwd=data, env=plain(account)
    )
    child: subprocess.Popen[bytes] | None = None
    try:
        prepare(server, port, password, database)
        child = subprocess.Popen(list(command))
        while (code := child.poll()) is None:
            if server.poll() is not None:
                return DATABASE_LOST
            time.sleep(POLL_S)
        return code if code >= 0 else 128 - code
    except Told:
        return 0 if child is None else ended(child, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if child is not None:
            ended(child, signal.SIGTERM)
        ended(server, signal.SIGINT)


def initialise(data: Path, password: str, account: str | None) -> None:
    """Make the cluster, complete or not at all: a kill on the way leaves no half of one."""
    fresh = data.with_name(data.name + ".new")
    subprocess.run(["rm", "-rf", str(fresh)], check=True)
    fresh.mkdir(mode=0o700)
    secret = data.with_name(data.name + ".password")
    secret.touch(mode=0o600)
    secret.write_text(password)
    if account is not None:
        entry = pwd.getpwnam(account)
        for path in (fresh, secret):
            os.chown(path, entry.pw_uid, entry.pw_gid)
    subprocess.run(
        [str(binaries(account) / "initdb"), f"--pgdata={fresh}", f"--username={SUPERUSER}", f"--pwfile={secret}",
         "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions"],
        check=True, stdout=subprocess.DEVNULL, user=account, cwd="/", env=plain(account),
    )  # fmt: skip
    with (fresh / "pg_hba.conf").open("a") as rules:
        rules.write("host all all all scram-sha-256\n")
    secret.unlink()
    fresh.rename(data)


def prepare(server: subprocess.Popen[bytes], port: int, password: str, database: str) -> None:
    """Wait until the server answers, and make the database on the first start."""
    url = f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{port}/postgres"
    until = time.monotonic() + READY_S
    while not healthy(url):
        if server.poll() is not None or time.monotonic() > until:
            raise CannotRun("the till's PostgreSQL does not answer")
        time.sleep(POLL_S)
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))


def ended(child: subprocess.Popen[bytes], number: signal.Signals) -> int:
    """Ask a child to end, wait for it, and return its code."""
    if child.poll() is None:
        child.send_signal(number)
    code = child.wait()
    return code if code >= 0 else 128 - code


def plain(account: str | None) -> dict[str, str]:
    """Return an environment for the server: another account can't use our home."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return keep if account is None else {**keep, "HOME": "/"}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Run a command with a PostgreSQL of its own.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args()
    password = given.password_file.read_text().strip()
    try:
        code = run(
            given.command, data=given.data, port=given.port, password=password, database=given.database,
            listen=given.listen,
        )  # fmt: skip
    except (CannotRun, subprocess.CalledProcessError) as error:
        sys.exit(f"withpostgres: {error}")
    sys.exit(code)


if __name__ == "__main__":
    main()
