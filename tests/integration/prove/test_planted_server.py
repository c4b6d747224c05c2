"""Bugs planted in a real server, each met by one till: it shows with the bug and does not without."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import psycopg2
import pytest

from chaos.fleet.health import plain_dsn
from rehearsal.drive.system import SLOW_CLERK
from rehearsal.drive.till_api import identity_session
from syncref.server.embedded import EmbeddedPostgres
from syncref.wire.sync import CONTENT_TYPE
from tests.integration.conftest import new_database
from tests.integration.till.test_with_server import SECRET, Site

STALLED_S = 4.0
HELD_S = 4


class PlantedSite(Site):
    """A site whose server is started with a bug, or without."""

    def __init__(self, folder: Path, dsn: str, bug: str) -> None:
        super().__init__(folder, dsn)
        self.dsn = dsn
        self.bug = bug

    def start(self, name: str) -> None:
        """Start the till as shipped, the server with its bug."""
        if name != "server" or not self.bug:
            super().start(name)
            return
        words = ("-m", "rehearsal.prove.launcher", self.bug, name, "--config", str(self.folder / "server.toml"))
        with (self.folder / "server.log").open("ab") as log:
            self.processes[name] = subprocess.Popen([sys.executable, *words], stderr=log)
        self.until(self.serves, "the start of the server")

    def serves(self) -> bool:
        """Say whether the server answers."""
        return self.call("GET", "/v1/health", base=self.server_url)[0] == 200

    def position(self) -> int:
        """Return how far the till has the masters."""
        return int(self.status()["cursor"]["pos"])

    def shows(self, moved: Callable[[], bool]) -> None:
        """With the bug nothing moves; without it, it does, however slow this machine is."""
        if not self.bug:
            self.until(moved, "what the bug would have stopped")
            return
        until = time.monotonic() + STALLED_S
        while time.monotonic() < until:
            assert not moved()
            time.sleep(0.1)


@pytest.fixture
def site(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_cluster: EmbeddedPostgres
) -> Iterator[PlantedSite]:
    """Yield a running server with the bug that the test asks for, and a loaded till with an open day."""
    made = PlantedSite(tmp_path, new_database(postgres_cluster), request.param)
    try:
        made.start("server")
        made.run("provision", "till", "--config", str(tmp_path / "till.toml"))
        made.start("till")
        made.until(lambda: bool(made.status()["loaded"]), "the load")
        made.log_in()
        opened = {"op_id": secrets.token_hex(16), "business_date": "2025-03-01", "float_cash": 0}
        assert made.call("POST", "/v1/day/open", opened)[0] == 200
        made.until(lambda: bool(made.status()["backlog"] == 0), "the first upload")
        yield made
    finally:
        for process in made.processes.values():
            process.kill()
            process.wait()


@contextmanager
def half_upload(site: PlantedSite) -> Iterator[None]:
    """Send half an upload to the server and leave it at that."""
    token = identity_session(site.server_url, kind="till", name="T01", secret=SECRET).token
    headers = {"Authorization": f"Bearer {token}", "Content-Type": CONTENT_TYPE, "Content-Length": "1000"}
    with closing(HTTPConnection(site.server_url[7:], timeout=5)) as connection:
        connection.putrequest("POST", "/v1/journal")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(bytes(500))
        yield


@pytest.mark.long
@pytest.mark.parametrize("site", ["", "R7", "R10"], indirect=True)
def test_a_vanished_client_stops_only_a_server_with_the_bug(site: PlantedSite) -> None:
    """R7 and R10: while half an upload hangs, another till's entries arrive, or never do."""
    with half_upload(site):
        time.sleep(0.5)  # the half is to be there first, or the bug would have nothing to wait for
        site.sell()
        site.shows(lambda: bool(site.status()["backlog"] == 0))


@pytest.mark.long
@pytest.mark.parametrize("site", ["", "R12"], indirect=True)
def test_an_idle_clerk_stops_only_a_feed_with_the_bug(site: PlantedSite) -> None:
    """R12: after a transaction was open for a while, and is committed, the feed goes on, or never does."""
    with closing(psycopg2.connect(plain_dsn(site.dsn))) as clerk, clerk.cursor() as cursor:
        for statement in SLOW_CLERK:
            cursor.execute(statement)
        site.import_masters({"prices": "sku,valid_from_ms,amount\nP1,0,444\n"})
        cursor.execute("SELECT pg_sleep(%s)", (HELD_S,))
        before = site.position()
        clerk.commit()
    site.import_masters({"prices": "sku,valid_from_ms,amount\nP1,0,555\n"})
    site.shows(lambda: site.position() > before)
