"""A till and a server as processes: sell, sync, change a price, kill and recover."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncref.server.embedded import EmbeddedPostgres
from tests.integration.conftest import new_database

WAIT_S = 60.0
SECRET = "a secret of the test"
MASTERS = {
    "tax_rates": "tax_code,rate_bp\nN,1900\nR,700\n",
    "vendors": "vendor_id,name\nV1,Vendor\n",
    "products": "sku,name,tax_code,vendor_id\nP1,Milk,R,V1\nP2,Soap,N,V1\n",
    "prices": "sku,valid_from_ms,amount\nP1,0,199\nP2,0,250\n",
    "cashiers": "cashier_id,name,pin\nC1,Ann,1234\n",
    "stock": "sku,qty\nP1,100000\n",
}


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def syncref(*arguments: str) -> list[str]:
    """Return the command line of a subcommand."""
    return [sys.executable, "-c", "from syncref.cli import main; main()", *arguments]


class Site:
    """One server and one till as processes, started and killed by a test."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.folder = folder
        self.server_url, self.till_url = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        (folder / "till.secret").write_text(SECRET)
        (folder / "server.toml").write_text(
            f'[server]\ndatabase = "{dsn}"\nlisten = "{self.server_url[7:]}"\nworkers = 1\nstock_fold_ms = 200\n'
        )
        (folder / "till.toml").write_text(
            f'[till]\nname = "T01"\ndatabase = "sqlite:///{folder}/till.db"\nlisten = "{self.till_url[7:]}"\n'
            f'servers = ["{self.server_url}"]\ncredential_file = "{folder}/till.secret"\n'
            "[sync]\nbackoff_max_ms = 200\n"
        )
        (folder / "tills.csv").write_text(f"name,secret\nT01,{SECRET}\n")
        self.import_masters(MASTERS, first=True)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.token = ""

    def import_masters(self, files: dict[str, str], *, first: bool = False) -> None:
        """Import CSV files into the server's database."""
        config = str(self.folder / "server.toml")
        if first:
            self.run("provision", "server", "--config", config, "--tills-file", str(self.folder / "tills.csv"))
        masters = self.folder / f"masters-{secrets.token_hex(4)}"
        masters.mkdir()
        for name, text in files.items():
            (masters / f"{name}.csv").write_text(text)
        self.run("import", "--config", config, "--masters", str(masters))

    def run(self, *arguments: str) -> str:
        """Run a subcommand to its end."""
        return subprocess.run(syncref(*arguments), check=True, capture_output=True, text=True).stdout

    def start(self, name: str) -> None:
        """Start the server or the till and wait until it answers."""
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(
            syncref(name, "--config", str(self.folder / f"{name}.toml")), stderr=log
        )
        log.close()
        url = self.server_url if name == "server" else self.till_url
        self.until(lambda: self.call("GET", "/v1/health", base=url)[0] == 200, f"the start of the {name}")

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> int:
        """End a process and return its exit code."""
        process = self.processes.pop(name)
        process.send_signal(number)
        return process.wait(WAIT_S)

    def call(self, method: str, path: str, body: Any = None, *, base: str | None = None) -> tuple[int, Any]:
        """Return the status and JSON of an answer; (0, None) when nobody answers."""
        request = urllib.request.Request(  # noqa: S310 - our own http URLs
            (base or self.till_url) + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)
        except OSError:
            return 0, None

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for something that has to happen."""
        end = time.monotonic() + WAIT_S
        while not holds():
            logs = "".join(log.read_text()[-2000:] for log in self.folder.glob("*.log"))
            assert time.monotonic() < end, f"{what} did not happen\n{logs}"
            time.sleep(0.05)

    def status(self) -> Any:
        """Return the till's status."""
        return self.call("GET", "/v1/status")[1]

    def log_in(self) -> None:
        """Log the cashier in."""
        _, answer = self.call("POST", "/v1/session", {"cashier_id": "C1", "pin": "1234"})
        self.token = answer["token"]

    def sell(self, op_id: str | None = None) -> tuple[int, Any]:
        """Sell two products."""
        return self.call(
            "POST",
            "/v1/sales",
            {
                "op_id": op_id or secrets.token_hex(16),
                "lines": [{"sku": "P1", "qty": 1000}, {"sku": "P2", "qty": 2000}],
                "payments": [{"tender": "cash", "amount": None}],
            },
        )


@pytest.fixture
def site(tmp_path: Path, postgres_cluster: EmbeddedPostgres) -> Iterator[Site]:
    """Yield a running server and a till that is loaded and has an open day."""
    made = Site(tmp_path, new_database(postgres_cluster))
    try:
        made.start("server")
        made.run("provision", "till", "--config", str(tmp_path / "till.toml"))
        made.start("till")
        made.until(lambda: made.status()["loaded"], "the load")
        made.log_in()
        opened = {"op_id": secrets.token_hex(16), "business_date": "2025-03-01", "float_cash": 0}
        assert made.call("POST", "/v1/day/open", opened)[0] == 200
        yield made
    finally:
        for process in made.processes.values():
            process.kill()
            process.wait()


def test_the_shop_of_one_till(site: Site) -> None:
    """Sales online and offline, a price change, kills of both sides, the close: all agree to the cent."""
    gross = [site.sell()[1]["gross"] for _ in range(5)]
    site.until(lambda: site.status()["backlog"] == 0, "the upload")
    assert site.sell()[1]["sync"] in ("synced", "stored")
    gross.append(699)

    site.import_masters({"prices": "sku,valid_from_ms,amount\nP1,0,300\n"})
    site.until(lambda: site.call("GET", "/v1/prices/P1")[1]["unit_price"] == 300, "the new price")

    site.end("server", signal.SIGKILL)
    site.until(lambda: site.status()["mode"] == "offline", "knowing to be offline")
    for _ in range(4):
        status, receipt = site.sell()
        assert (status, receipt["sync"]) == (200, "stored")
        gross.append(receipt["gross"])
    assert gross[-1] == 800

    op_id = secrets.token_hex(16)
    _, before = site.sell(op_id)
    gross.append(before["gross"])
    site.end("till", signal.SIGKILL)
    site.start("till")
    status, again = site.sell(op_id)
    assert (status, again["receipt_no"]) == (200, before["receipt_no"]), "the token outlives the restart too"

    site.start("server")
    site.until(lambda: site.status()["backlog"] == 0, "the upload after the outage")
    status, z = site.call("POST", "/v1/day/close", {"op_id": secrets.token_hex(16), "counted_cash": 1})
    assert (status, z["sales"], z["gross"]) == (200, len(gross), sum(gross))
    assert site.call("POST", "/v1/sync", {"what": "all"})[1]["ok"]
    told = json.loads(site.run("settlement", "--config", str(site.folder / "server.toml"), "--json"))
    assert [(row["receipts"], row["gross"], row["state"]) for row in told] == [(len(gross), sum(gross), "TALLIED")]
    assert site.status()["alarm"] is None
    assert (site.end("till"), site.end("server")) == (0, 0)
    rows = sqlite3.connect(site.folder / "till.db").execute("SELECT count(*) FROM receipt").fetchone()
    assert rows == (len(gross),)


def test_stock_counts_what_was_sold_since(site: Site) -> None:
    """The till shows the server's stock less its own sales that the server has not counted yet."""
    site.sell()
    assert site.call("GET", "/v1/stock/P1")[1]["qty"] == 99_000
    site.until(lambda: site.call("GET", "/v1/stock/P1")[1]["server_qty"] == 99_000, "the server's count")
    assert site.call("GET", "/v1/stock/P1")[1]["qty"] == 99_000


def test_no_secret_is_in_a_log(site: Site) -> None:
    """Credentials, PINs and tokens stay out of the logs."""
    site.sell()
    logs = "".join(log.read_text() for log in site.folder.glob("*.log"))
    assert "serving" in logs
    assert not any(word in logs for word in (SECRET, "1234", site.token))
    assert os.environ.get("SYNCREF_TILL_NAME") is None
