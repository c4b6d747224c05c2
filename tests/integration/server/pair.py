"""A live server and its preproduction: two PostgreSQL, the second a streaming standby, each with its processes."""

from __future__ import annotations

import atexit
import functools
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from syncref.auth import Identity
from syncref.backoffice.app import create as create_backoffice
from syncref.config import BackofficeConfig, ServerConfig
from syncref.server.app import create as create_server
from syncref.server.embedded import EmbeddedPostgres
from syncref.server.peers import PEER
from syncref.server.provision import provision
from syncref.server.reign import Reign
from syncref.store.server_open import create_database, open_engine
from syncref.store.server_term import TermRow
from tests.integration.server.shop import SECRET, Clerk, Client, Till, running

WAIT_S = 60.0
_SETTINGS = {"fsync": "off", "shared_buffers": "64MB", "max_wal_size": "256MB"}


def until(claim: Callable[[], object], what: str) -> Any:
    """Wait for something to become true and return it."""
    deadline = time.monotonic() + WAIT_S
    while not (found := claim()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return found


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class Site:
    """One server of the pair: its PostgreSQL, its sync server and its back office."""

    name: str
    postgres: EmbeddedPostgres
    port: int
    secret_file: Path
    rank: int
    peers: tuple[str, ...] = ()
    office_url: str = ""
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def url(self) -> str:
        """The sync server's base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> ServerConfig:
        """What the sync server is configured by."""
        return ServerConfig(
            listen=f"127.0.0.1:{self.port}", name=self.name, stock_fold_ms=50, peers=self.peers,
            peer_secret_file=self.secret_file, rank=self.rank,
        )  # fmt: skip

    def dsn(self) -> str:
        """The address of the database; its port changes with every start."""
        return self.postgres.dsn("shop")

    def engine(self) -> Engine:
        """Return an engine that the caller disposes of."""
        return open_engine(self.dsn(), connections=3)

    def reign(self) -> Reign:
        """Return what decides who is live here; it is disposed of with the site."""
        engine = self.engine()
        self.stack.callback(engine.dispose)
        return Reign(engine, peers=len(self.peers), rank=self.rank)

    def role(self) -> TermRow:
        """Return what the database is now."""
        engine = self.engine()
        try:
            return Reign(engine, peers=len(self.peers), rank=self.rank).now()
        finally:
            engine.dispose()

    def value(self, sql: str, **values: object) -> Any:
        """Return the first value of a query."""
        engine = self.engine()
        try:
            with engine.connect() as connection:
                return connection.execute(text(sql), values).scalar()
        finally:
            engine.dispose()

    def start(self) -> None:
        """Start the database if it is down, then server and back office, as `syncref server` does."""
        self.postgres.start()
        self.reign().begin()
        server = create_server(self.config, self.dsn())
        self.stack.enter_context(running(server, port=self.port))
        office = create_backoffice(BackofficeConfig(listen="127.0.0.1:0"), self.dsn())
        self.office_url = self.stack.enter_context(running(office))

    def stop(self) -> None:
        """Stop server and back office; the database goes on."""
        self.stack.close()
        self.stack = ExitStack()

    def cut(self) -> None:
        """Let this standby get nothing more from its primary: what comes now is lost with it."""
        engine = self.engine().execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("ALTER SYSTEM SET primary_conninfo = 'host=127.0.0.1 port=1'")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        engine.dispose()
        until(lambda: not self.value("SELECT count(*) FROM pg_stat_wal_receiver"), "the receiver's end")

    def kill(self) -> None:
        """Take the database away as a crash does, and the processes with it."""
        self.postgres.stop(mode="immediate")
        self.stop()


def _folder() -> Path:
    """Return a new folder that PostgreSQL, which root runs as another account, can get through."""
    folder = Path(tempfile.mkdtemp(prefix="syncref-test-pair-"))
    folder.chmod(0o711)
    return folder


@functools.cache
def provisioned() -> Path:
    """Return a folder with a stopped database as provisioning leaves it, made once for all pairs."""
    folder = _folder()
    atexit.register(shutil.rmtree, folder)
    secret = folder / "peer.secret"
    secret.write_text(secrets.token_hex(16))
    postgres = EmbeddedPostgres(folder=folder / "live", settings=_SETTINGS)
    postgres.start()
    try:
        create_database(postgres.dsn("postgres"), "shop")
        engine = open_engine(postgres.dsn("shop"), connections=3)
        tills = [Identity(kind="till", name=f"T0{n}") for n in (1, 2, 3)]
        known = [(who, SECRET + who.name) for who in (*tills, Identity(kind="clerk", name="alice"))]
        provision(engine, [*known, (PEER, secret.read_text())])
        engine.dispose()
    finally:
        postgres.stop()
    return folder


class Pair:
    """Two servers of one shop, and whoever talks to them."""

    def __init__(self) -> None:
        self.folder = _folder()
        secret = provisioned() / "peer.secret"
        self.live, self.preprod = (
            Site(
                name=name,
                postgres=EmbeddedPostgres(folder=self.folder / name, settings=_SETTINGS),
                port=free_port(),
                secret_file=secret,
                rank=rank,
            )
            for rank, name in ((1, "live"), (0, "preprod"))
        )
        self.live.peers, self.preprod.peers = (self.preprod.url,), (self.live.url,)
        self.clients: list[Client] = []

    def stage(self) -> None:
        """Start the live server's provisioned database and copy it as a standby; no server runs yet."""
        subprocess.run(["cp", "-a", provisioned() / "live", self.live.postgres.folder], check=True)
        self.live.postgres.start()
        self.copy()

    def copy(self) -> None:
        """Make preproduction anew from the live database."""
        self.preprod.postgres.follow(self.live.postgres.dsn("postgres"), slot="preprod")
        self.preprod.postgres.start()

    def start(self) -> None:
        """Start both; return once the live one is confirmed."""
        self.preprod.start()
        self.live.start()
        until(lambda: self.live.role().role.value == "live", "the peer's confirmation")

    def till(self, site: Site, name: str = "T01") -> Till:
        """Return a till that has logged in at a server, but not shaken hands."""
        till = Till(url=site.url, name=name)
        self.clients.append(till)
        till.cluster = str(site.value("SELECT cluster FROM term"))
        assert till.log_in().status == 200
        return till

    def clerk(self, site: Site) -> Clerk:
        """Return a clerk who has logged in at a back office."""
        clerk = Clerk(url=site.office_url)
        self.clients.append(clerk)
        assert clerk.log_in().status == 200
        return clerk

    def peer(self, site: Site) -> Client:
        """Return a client with the servers' own credential."""
        peer = Client(url=site.url, kind=PEER.kind, name=PEER.name)
        self.clients.append(peer)
        assert peer.log_in(site.secret_file.read_text()).status == 200
        return peer

    def close(self) -> None:
        """Stop everything and remove it."""
        for client in self.clients:
            client.close()
        for site in (self.live, self.preprod):
            site.stop()
        for site in (self.preprod, self.live):
            site.postgres.stop(mode="immediate")
        shutil.rmtree(self.folder)
