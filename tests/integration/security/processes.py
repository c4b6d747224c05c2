"""A shop of real processes over TLS: `syncref server` and `syncref till`, each with a certificate of its own."""

from __future__ import annotations

import json
import secrets
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from syncref.certificates import issue, make_authority
from tests.integration.server.pair import free_port

WAIT_S = 60.0
HOST = "127.0.0.1"
PIN = "394857"
WORKERS = 2
_SYNCREF = "import sys; from syncref.cli import main; sys.argv[0] = 'syncref'; main()"
_MASTERS = {
    "tax_rates": "tax_code,rate_bp\nN,1900\n",
    "vendors": "vendor_id,name\nV1,Vendor\n",
    "products": "sku,name,tax_code,vendor_id,active\nP1,Product,N,V1,1\n",
    "prices": "sku,list,valid_from_ms,amount\nP1,STD,0,199\n",
    "cashiers": f"cashier_id,name,pin,active\nC1,Cashier,{PIN},1\n",
}


def until(claim: Callable[[], Any], what: str) -> Any:
    """Wait for something to become true and return it."""
    end = time.monotonic() + WAIT_S
    while not (found := claim()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


@dataclass
class Process:
    """A child process with its log."""

    argv: list[str]
    log: Path
    running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as out:
            self.running = subprocess.Popen(self.argv, stdout=out, stderr=out)

    def stop(self) -> None:
        """End it gracefully."""
        if self.running is not None:
            self.running.send_signal(signal.SIGTERM)
            self.running.wait(timeout=30)
            self.running = None

    def command_lines(self) -> str:
        """Return what a process list shows of it and its children."""
        assert self.running is not None
        pids = [str(self.running.pid)]
        pids += Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split()
        return "".join(Path(f"/proc/{pid}/cmdline").read_bytes().decode() for pid in pids)


@dataclass
class RealShop:
    """The folder with everything in it, and the processes."""

    folder: Path
    dsn: str
    secrets: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)

    def stage(self) -> RealShop:
        """Provision and start everything; return once the till has its masters."""
        make_authority(self.folder / "ca")
        for node in ("server", "till"):
            (self.folder / node).mkdir()
            self.ports[node] = free_port()
            self.certify(node)
        (self.folder / "believed.pem").write_bytes((self.folder / "ca" / "ca.pem").read_bytes())
        self.secrets = {name: secrets.token_urlsafe(24) for name in ("T01", "alice", "peer")}
        self._write("tills.csv", f"name,secret\nT01,{self.secrets['T01']}\n")
        self._write("clerks.csv", f"name,secret\nalice,{self.secrets['alice']}\n")
        self._write("till/secret", self.secrets["T01"])
        for name, content in _MASTERS.items():
            self._write(f"masters/{name}.csv", content)
        server = self._toml("server", "server", database=self.dsn, workers=WORKERS)
        till = self._toml(
            "till", "till", name="T01", database=f"sqlite:///{self.folder}/till/till.db",
            servers=[self.url("server")], credential_file=str(self.folder / "till/secret"),
            ca_file=str(self.folder / "believed.pem"),
        )  # fmt: skip
        with till.open("a") as file:
            file.write(f'[clock]\noffset_file = "{self.folder}/till/clock"\n')
        files = ("--tills-file", self._at("tills.csv"), "--clerks-file", self._at("clerks.csv"))
        self.command("provision", "server", "--config", str(server), *files)
        self.command("import", "--config", str(server), "--masters", self._at("masters"))
        self.start("server", server)
        self.command("provision", "till", "--config", str(till))
        self.start("till", till)
        until(lambda: self.status()["loaded"], "the till's masters")
        return self

    def certify(self, node: str, *, authority: str = "ca") -> None:
        """Issue a certificate for a node."""
        files = {"certificate_file": self.folder / node / "tls.pem", "key_file": self.folder / node / "tls.key"}
        issue(self.folder / authority, (HOST,), days=30, **files)  # type: ignore[arg-type]  # two paths

    def rotate(self, node: str, *, authority: str) -> None:
        """Issue a certificate for a node that runs; return once every one of its processes shows it."""
        taken = self.log(node).count('"certificate_taken"')
        self.certify(node, authority=authority)
        self.await_taken(node, taken)

    def await_taken(self, node: str, before: int) -> None:
        """Wait until every process of a node has taken new files since its log told so `before` times."""
        wanted = before + (WORKERS if node == "server" else 1)
        until(lambda: self.log(node).count('"certificate_taken"') >= wanted, f"{node}'s new certificate")

    def url(self, node: str) -> str:
        """Return a node's base URL."""
        return f"https://{HOST}:{self.ports[node]}"

    def start(self, node: str, config: Path) -> None:
        """Start a node and wait until it answers."""
        argv = [sys.executable, "-c", _SYNCREF, node, "--config", str(config)]
        self.processes[node] = Process(argv=argv, log=self.folder / f"{node}.log")
        self.processes[node].start()
        self.answers(node)

    def answers(self, node: str) -> None:
        """Wait until a node answers."""
        until(lambda: self.ask("GET", node, "/v1/health") is not None, f"{node} to answer")

    def command(self, *words: str) -> str:
        """Run a command to its end."""
        done = subprocess.run(
            [sys.executable, "-c", _SYNCREF, *words], capture_output=True, text=True, timeout=WAIT_S, check=False
        )
        with (self.folder / "commands.log").open("a") as log:
            log.write(done.stdout + done.stderr)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, method: str, node: str, path: str, *, token: str = "", body: Any = None) -> Any:
        """Send a request on a connection of its own, verified; None when it is not answered with success."""
        context = ssl.create_default_context(cafile=self.folder / "believed.pem")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        with urllib3.PoolManager(ssl_context=context, retries=False, timeout=10.0) as http:
            try:
                answer = http.request(method, self.url(node) + path, json=body, headers=headers)
            except urllib3.exceptions.HTTPError:
                return None
            if answer.status != 200:
                return None
            return answer.json() if "json" in answer.headers["Content-Type"] else answer.data.decode()

    def status(self) -> dict[str, Any]:
        """Return the till's status."""
        found: dict[str, Any] = until(lambda: self.ask("GET", "till", "/v1/status"), "the till's status")
        return found

    def cashier(self) -> str:
        """Return a cashier's token."""
        asked = {"cashier_id": "C1", "pin": PIN}
        found: str = until(lambda: self.ask("POST", "till", "/v1/session", body=asked), "a session")["token"]
        return found

    def sell(self, token: str) -> None:
        """Sell something and wait until the server has it."""
        body = {
            "op_id": secrets.token_hex(16),
            "lines": [{"sku": "P1", "qty": 1000, "discount": 0}],
            "payments": [{"tender": "cash", "amount": None}],
        }
        receipt = self.ask("POST", "till", "/v1/sales", token=token, body=body)
        assert receipt is not None
        until(lambda: self.status()["acked"] >= receipt["seq"], "the server's ack")

    def shown(self, node: str) -> str:
        """Return the certificate that a node shows to a new connection, in PEM."""
        return ssl.get_server_certificate((HOST, self.ports[node]))

    def log(self, node: str) -> str:
        """Return what a node has logged so far."""
        return (self.folder / f"{node}.log").read_text(errors="replace")

    def close(self) -> None:
        """End all processes."""
        for process in self.processes.values():
            process.stop()

    def _at(self, name: str) -> str:
        return str(self.folder / name)

    def _write(self, name: str, content: str) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        path.chmod(0o600)

    def _toml(self, node: str, section: str, **values: Any) -> Path:
        values |= {
            "listen": f"{HOST}:{self.ports[node]}",
            "certificate_file": self._at(f"{node}/tls.pem"),
            "key_file": self._at(f"{node}/tls.key"),
        }
        lines = [f"[{section}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        path = self.folder / f"{node}.toml"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        return path
