"""Real processes over TLS: certificates change under load, clocks are decades off, and no secret gets out."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncref.certificates import make_authority
from syncref.server.embedded import EmbeddedPostgres
from tests.integration.conftest import new_database
from tests.integration.security.processes import HOST, PIN, WORKERS, RealShop, until

YEARS = {"1970": 0, "2050": 2_524_608_000}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, postgres_cluster: EmbeddedPostgres) -> Iterator[RealShop]:
    """Yield a running shop with an open day."""
    shop = RealShop(folder=tmp_path_factory.mktemp("tls"), dsn=new_database(postgres_cluster))
    try:
        shop.stage()
        day = {"op_id": "a" * 32, "business_date": "2025-03-01", "float_cash": 0}
        assert shop.ask("POST", "till", "/v1/day/open", token=shop.cashier(), body=day)
        yield shop
    finally:
        shop.close()


def test_the_authority_is_changed_without_a_stop(real: RealShop) -> None:
    """As in docs/operations.md: old and new trusted side by side, new certificates, the old trusted no more."""
    token = real.cashier()
    pids = {node: process.running.pid for node, process in real.processes.items() if process.running}
    old = real.shown("server")
    real.command("provision", "ca", "--folder", str(real.folder / "next"))
    believed = real.folder / "believed.pem"
    believed.write_bytes(believed.read_bytes() + (real.folder / "next" / "ca.pem").read_bytes())
    real.sell(token)
    for node in ("server", "till"):
        files = (
            "--certificate",
            str(real.folder / node / "tls.pem"),
            "--key",
            str(real.folder / node / "tls.key"),
        )
        told = real.command("provision", "certificate", "--ca", str(real.folder / "next"), "--name", HOST, *files)
        assert f"for {HOST}, valid until" in told
    for node in ("server", "till"):
        real.await_taken(node, 0)
        assert real.shown(node) == (real.folder / node / "tls.pem").read_text() != old
    real.sell(token)
    believed.write_bytes((real.folder / "next" / "ca.pem").read_bytes())
    real.sell(token)
    assert pids == {node: process.running.pid for node, process in real.processes.items() if process.running}
    assert real.status()["alarm"] is None


@pytest.mark.parametrize("year", YEARS)
def test_a_till_whose_clock_is_decades_off_comes_back(real: RealShop, year: str) -> None:
    """It sells, syncs, is started anew, and syncs again."""
    clock = real.folder / "till" / "clock"
    clock.write_text(str(round((YEARS[year] - time.time()) * 1000)))
    try:
        real.sell(real.cashier())
        real.processes["till"].stop()
        real.processes["till"].start()
        real.answers("till")
        real.sell(real.cashier())
        assert real.status()["mode"] == "online"
    finally:
        clock.unlink()


def test_a_server_that_can_not_show_who_it_is_is_an_alarm_of_the_till_until_it_can(real: RealShop) -> None:
    """A certificate of somebody else's authority: nothing is sent, sales go on, and the alarm ends with it."""
    token = real.cashier()
    make_authority(real.folder / "stranger")
    real.rotate("server", authority="stranger")
    process = real.processes["server"]
    process.stop()
    process.start()
    stranger = (real.folder / "server" / "tls.pem").read_text()
    until(lambda: listens(real) and real.shown("server") == stranger, "the server to be back")
    alarm = until(lambda: real.status()["alarm"], "an alarm")
    assert "untrusted_server" in alarm
    body = {
        "op_id": "c" * 32,
        "lines": [{"sku": "P1", "qty": 1000, "discount": 0}],
        "payments": [{"tender": "cash", "amount": None}],
    }
    assert real.ask("POST", "till", "/v1/sales", token=token, body=body)["sync"] == "stored"
    real.rotate("server", authority="next" if (real.folder / "next").exists() else "ca")
    until(lambda: real.status()["alarm"] is None and real.status()["backlog"] == 0, "the end of the alarm")


def listens(real: RealShop) -> bool:
    """Say whether the server takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, real.ports["server"])) == 0


def test_a_server_that_stops_does_not_wait_for_callers_who_keep_an_idle_connection(real: RealShop) -> None:
    """Over TLS a close waits for the caller's own; one who never reads would hold the stop up."""
    context = ssl.create_default_context(cafile=real.folder / "believed.pem")
    server = real.processes["server"]
    before = real.log("server").count("worker_stopped")
    with (
        socket.create_connection((HOST, real.ports["server"]), timeout=60) as raw,
        context.wrap_socket(raw, server_hostname=HOST) as caller,
    ):
        caller.sendall(f"GET /v1/health HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        assert caller.recv(4096).startswith(b"HTTP/1.1 200")
        server.stop()
        assert real.log("server").count("worker_stopped") == before + WORKERS
        assert "graceful shutdown exceeded" not in real.log("server")
        server.start()
        real.answers("server")


def test_no_secret_is_in_a_log_an_answer_or_a_process_list(real: RealShop) -> None:
    """Secrets, the PIN, tokens, password hashes and keys: neither in what was written nor in what is shown."""
    real.sell(real.cashier())
    wrong = {"kind": "clerk", "name": "alice", "secret": "a-wrong-secret-of-alice"}
    assert real.ask("POST", "server", "/v1/token", body=wrong) is None
    asked = {"kind": "clerk", "name": "alice", "secret": real.secrets["alice"]}
    token = real.ask("POST", "server", "/v1/token", body=asked)["token"]
    seen = {path.name: path.read_text(errors="replace") for path in real.folder.glob("*.log")}
    assert {"server.log", "till.log"} <= seen.keys()
    for node, process in real.processes.items():
        seen[f"{node}'s process list"] = process.command_lines()
        for path in ("/metrics", "/v1/status"):
            seen[f"{node} {path}"] = str(real.ask("GET", node, path, token=token if node == "server" else ""))
    forbidden = [*real.secrets.values(), wrong["secret"], token, "$argon2", "PRIVATE KEY"]
    for where, text in seen.items():
        for one in forbidden:
            assert one not in text, f"{where} shows {one[:6]}..."
        assert not re.search(rf"(?<![0-9A-Fa-f]){PIN}(?![0-9A-Fa-f])", text), f"{where} shows the PIN"
        assert "WzEs" not in text, f"{where} shows a token"  # how every token begins


def test_keys_and_secrets_are_readable_by_their_owner_only(real: RealShop) -> None:
    """What the commands write."""
    for path in (*real.folder.glob("*/tls.key"), *real.folder.glob("*/ca.key")):
        assert Path(path).stat().st_mode & 0o077 == 0, path
