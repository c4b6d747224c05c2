"""A hard end at every persist and send boundary of the real till and the real server, once each, and recovered."""

from __future__ import annotations

import secrets
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from syncref.server.embedded import EmbeddedPostgres
from tests.integration.conftest import new_database
from tests.integration.till.test_with_server import WAIT_S, Site

CRASHING = str(Path(__file__).with_name("crashing.py"))
EDGES = ("before", "after")
LOADING = [f"till {name} {edge}" for name in ("FetchChunk", "StoreChunk") for edge in EDGES]
SELLING = [
    f"till {name} {edge}"
    for name in ("sale", "commit", "Load", "SendBatch", "PersistProgress", "SetTimer")
    for edge in EDGES
]
SHAKING = [f"till {name} {edge}" for name in ("SendHello", "ReadHash", "Prune") for edge in EDGES]
APPLYING = [f"till {name} {edge}" for name in ("Fetch", "Apply") for edge in EDGES]
INGESTING = [
    f"server {name} {edge}"
    for name in ("hello", "put_session", "batch", "append_entries", "store_typed", "advance", "fold")
    for edge in EDGES
]


class CrashSite(Site):
    """A site whose till and server have traps."""

    def begin(self, name: str) -> None:
        """Start the server or the till with its traps, without waiting for it."""
        argv = [sys.executable, CRASHING, str(self.folder), name, "--config", str(self.folder / f"{name}.toml")]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(argv, stderr=log)

    def start(self, name: str) -> None:
        """Start it and wait until it answers."""
        self.begin(name)
        url = self.server_url if name == "server" else self.till_url
        self.until(lambda: self.call("GET", "/v1/health", base=url)[0] == 200, f"the start of the {name}")

    def set(self, trap: str) -> None:
        """Set a trap: whole at once, for it is looked at all the time."""
        fresh = self.folder / "trap.new"
        fresh.write_text(trap)
        fresh.rename(self.folder / "trap")

    def sprung(self, trap: str) -> None:
        """Wait until the trap has sprung and its process is dead, and start that again."""
        name = trap.split(maxsplit=1)[0]
        self.until((self.folder / "sprung").exists, f"the end at {trap!r}")
        assert (self.folder / "sprung").read_text() == trap
        assert self.processes.pop(name).wait(WAIT_S) == -signal.SIGKILL
        (self.folder / "sprung").unlink()
        self.start(name)

    def sold(self, op_id: str) -> None:
        """Ask for a sale, under the same op id, until it is ok."""
        self.until(lambda: self.sell(op_id)[0] == 200, "a sale")

    def quiet(self) -> None:
        """Wait until the server has everything."""
        self.until(lambda: self.status()["backlog"] == 0, "the upload")


@pytest.fixture
def site(tmp_path: Path, postgres_cluster: EmbeddedPostgres) -> Iterator[CrashSite]:
    """Yield a provisioned server and till with traps; only the server runs."""
    made = CrashSite(tmp_path, new_database(postgres_cluster))
    try:
        made.start("server")
        made.run("provision", "till", "--config", str(tmp_path / "till.toml"))
        yield made
    finally:
        for process in made.processes.values():
            process.kill()
            process.wait()


@pytest.mark.long
def test_a_hard_end_at_every_boundary_loses_and_doubles_nothing(site: CrashSite) -> None:
    """First load, sales, uploads, handshakes, applied prices and the server's ingest: in the end all agree."""
    asked: list[str] = []

    def sell() -> None:
        asked.append(secrets.token_hex(16))
        site.sell(asked[-1])

    for trap in LOADING:
        site.set(trap)
        site.begin("till")
        site.sprung(trap)
        site.end("till", signal.SIGKILL)
        (site.folder / "till.db").unlink()
        for more in site.folder.glob("till.db-*"):
            more.unlink()
        site.run("provision", "till", "--config", str(site.folder / "till.toml"))
    site.start("till")
    site.until(lambda: site.status()["loaded"], "the load")
    site.log_in()
    opened = {"op_id": secrets.token_hex(16), "business_date": "2025-03-01", "float_cash": 0}
    assert site.call("POST", "/v1/day/open", opened)[0] == 200

    for trap in SELLING + INGESTING:
        site.quiet()
        site.set(trap)
        sell()
        if trap.startswith("server hello") or "put_session" in trap:
            site.end("till", signal.SIGKILL)  # its next handshake springs the trap
            site.begin("till")
        site.sprung(trap)
        site.sold(asked[-1])
    for trap in SHAKING:
        site.quiet()
        if "ReadHash" in trap:  # a handshake compares hashes when the server is behind
            site.end("server", signal.SIGKILL)
            asked.append(secrets.token_hex(16))
            site.sold(asked[-1])
            site.end("till", signal.SIGKILL)
            site.start("server")
        else:
            site.end("till", signal.SIGKILL)
        site.set(trap)
        site.begin("till")
        site.sprung(trap)
    for number, trap in enumerate(APPLYING):
        site.set(trap)
        price = 300 + number
        site.import_masters({"prices": f"sku,valid_from_ms,amount\nP1,0,{price}\n"})
        site.sprung(trap)
        site.until(lambda price=price: site.call("GET", "/v1/prices/P1")[1]["unit_price"] == price, "the price")  # type: ignore[misc]
    site.sold(asked[-1])
    site.quiet()

    status, z = site.call("POST", "/v1/day/close", {"op_id": secrets.token_hex(16), "counted_cash": 0})
    assert (status, z["sales"]) == (200, len(asked))
    assert site.call("POST", "/v1/sync", {"what": "all"})[1]["ok"]
    told = site.call("GET", "/v1/status")[1]
    assert (told["backlog"], told["alarm"]) == (0, None)
    with closing(sqlite3.connect(site.folder / "till.db")) as database:
        assert sorted(row[0] for row in database.execute("SELECT op_id FROM receipt")) == sorted(asked)
    settled = site.run("settlement", "--config", str(site.folder / "server.toml"), "--json")
    assert f'"receipts": {len(asked)}' in settled or f'"receipts":{len(asked)}' in settled
    assert "TALLIED" in settled
