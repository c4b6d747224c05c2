"""The server's commands as processes: provisioning, serving, importing, stopping, and errors that say what."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import urllib3
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from chaos.waiting import wait_until
from syncref.server.embedded import EmbeddedPostgres, embedded
from tests.integration.conftest import new_database

WAIT_S = 30.0
_SYNCREF = "import sys; from syncref.cli import main; sys.argv[0] = 'syncref'; main()"


def command(*arguments: str) -> list[str]:
    """Return the command line of syncref."""
    return [sys.executable, "-c", _SYNCREF, *arguments]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, check=False)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(url: str, process: subprocess.Popen[str] | None = None) -> bool:
    """Wait until a URL answers 200."""
    http = urllib3.PoolManager(retries=False, timeout=5.0)
    end = time.monotonic() + WAIT_S
    try:
        while time.monotonic() < end and (process is None or process.poll() is None):
            try:
                if http.request("GET", url).status == 200:
                    return True
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.05)
        return False
    finally:
        http.clear()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder that PostgreSQL's account can enter."""
    made = Path(tempfile.mkdtemp(prefix="syncref-commands-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def config(folder: Path, postgres_cluster: EmbeddedPostgres) -> Path:
    """Return a server.toml on a fresh database, provisioned with till T01 and clerk alice.

    Its address is written without a driver, as people write it.
    """
    path = folder / "server.toml"
    dsn = new_database(postgres_cluster).replace("postgresql+psycopg2://", "postgresql://")
    path.write_text(f'[server]\ndatabase = "{dsn}"\nlisten = "127.0.0.1:{free_port()}"\nworkers = 2\n')
    (folder / "tills.csv").write_text("name,secret\nT01,secret-of-T01\n")
    (folder / "clerks.csv").write_text("name,secret\nalice,secret-of-alice\n")
    files = ("--tills-file", str(folder / "tills.csv"), "--clerks-file", str(folder / "clerks.csv"))
    done = run("provision", "server", "--config", str(path), *files)
    assert done.returncode == 0, done.stderr
    assert "identities new or changed: 2" in done.stdout
    return path


def listen_of(config: Path) -> str:
    """Return the address in a server.toml."""
    line = next(line for line in config.read_text().splitlines() if line.startswith("listen"))
    return line.split('"')[1]


def test_provisioning_again_changes_nothing(config: Path) -> None:
    """Same cluster, same term, no identity touched."""
    files = ("--tills-file", str(config.with_name("tills.csv")))
    first = run("provision", "server", "--config", str(config), *files)
    again = run("provision", "server", "--config", str(config), *files)
    assert first.stdout == again.stdout
    assert first.stdout.endswith("term 1; identities new or changed: 0\n")


def test_a_server_serves_with_its_workers_and_stops_on_sigterm_with_0(config: Path) -> None:
    """Requests that wait for news are let go, and no process is left behind."""
    process = subprocess.Popen(command("server", "--config", str(config)), stderr=subprocess.PIPE, text=True)
    url = f"http://{listen_of(config)}"
    try:
        assert answers(url + "/v1/health", process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == 2
        os.kill(int(children[0]), signal.SIGKILL)
        assert answers(url + "/v1/health", process)
        status = run("status", "--url", url)
        assert json.loads(status.stdout)["status"] == "live"
        secret = config.with_name("secret")
        secret.write_text("secret-of-alice\n")
        status = run("status", "--url", url, "--clerk", "alice", "--secret-file", str(secret))
        assert json.loads(status.stdout)["role"] == "live"
    finally:
        process.terminate()
        _, logs = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    assert all(not Path(f"/proc/{pid}/cmdline").exists() for pid in children)
    events = [json.loads(line) for line in logs.splitlines()]
    assert {"ts", "level", "logger", "event"} <= set(events[0])
    assert "worker_died" in {line["event"] for line in events}
    assert "secret-of" not in logs


def test_whichever_worker_answers_tells_the_sum_of_all_and_of_the_dead(config: Path) -> None:
    """Requests counted by two workers, one of them killed, are in every answer."""
    process = subprocess.Popen(command("server", "--config", str(config)), stderr=subprocess.DEVNULL)
    url = f"http://{listen_of(config)}"
    try:
        assert answers(url + "/v1/health")
        before = counted(url, "/v1/alive")
        asked = 0
        for n in range(40):
            if n == 20:
                await_counted(url, before + asked)  # a request is counted a moment after its answer
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                os.kill(int(children[0]), signal.SIGKILL)
            assert answers(url + "/v1/alive")  # a connection each, so that both workers get some
            asked += 1
        await_counted(url, before + asked)
        seen = {counted(url, "/v1/alive") - before for _ in range(8)}
    finally:
        process.terminate()
        process.wait(WAIT_S)
    assert seen == {float(asked)}


def await_counted(url: str, count: float) -> None:
    """Wait until all requests of /v1/alive are counted."""
    wait_until(lambda: counted(url, "/v1/alive") >= count, WAIT_S, every_s=0.02)


def counted(url: str, route: str) -> float:
    """Return how many requests of a route were answered 200, by /metrics."""
    http = urllib3.PoolManager(retries=False, timeout=5.0)
    text = http.request("GET", f"{url}/metrics", headers={"Accept": "application/openmetrics-text"}).data.decode()
    http.clear()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "syncref_http_request_duration_seconds_count"
        and (sample.labels["route"], sample.labels["code"]) == (route, "200")
    )


def test_what_a_killed_server_leaves_in_the_temporary_folder_goes_with_the_next_start(
    config: Path, folder: Path
) -> None:
    """And what belongs to one that runs stays."""
    environment = os.environ | {"TMPDIR": str(folder)}
    other = folder / "other.toml"
    other.write_text(config.read_text().replace(listen_of(config), f"127.0.0.1:{free_port()}"))
    seen: list[set[Path]] = []
    running = []
    try:
        for which, last in ((config, True), (config, False), (other, False)):
            started = subprocess.Popen(
                command("server", "--config", str(which)), stderr=subprocess.DEVNULL, env=environment
            )
            running.append(started)
            assert answers(f"http://{listen_of(which)}/v1/health")
            seen.append(set(folder.glob("syncref-metrics-*")))
            if last:
                started.kill()
                started.wait()
                await_refused(config)
    finally:
        for process in running:
            process.terminate()
            process.wait(WAIT_S)
    assert [len(found) for found in seen] == [1, 1, 2]
    assert not seen[0] & seen[1]
    assert seen[1] < seen[2]
    assert not list(folder.glob("syncref-metrics-*"))


def test_killing_the_server_takes_its_workers_along(config: Path) -> None:
    """kill -9 leaves nothing that still listens."""
    process = subprocess.Popen(command("server", "--config", str(config)), stderr=subprocess.DEVNULL)
    assert answers(f"http://{listen_of(config)}/v1/health")
    process.kill()
    process.wait()
    await_refused(config)


def await_refused(config: Path) -> None:
    """Wait until nothing listens on a server.toml's address."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(listen_of(config).rsplit(":", 1)[1]))) != 0:
                return
        time.sleep(0.02)
    pytest.fail("a worker outlived the server")


def test_an_import_is_all_or_nothing_and_can_be_repeated(config: Path, folder: Path) -> None:
    """The command counts what is new or changed, and names file, line, column and value of a bad row."""
    masters = folder / "masters"
    masters.mkdir()
    (masters / "tax_rates.csv").write_text("tax_code,rate_bp\nA,1900\n")
    (masters / "products.csv").write_text("sku,name,tax_code\nP1,One,A\nP2,Two,A\n")
    (masters / "prices.csv").write_text("sku,valid_from_ms,amount\nP1,0,100\nP2,0,x\n")
    arguments = ("import", "--config", str(config), "--masters", str(masters))
    bad = run(*arguments)
    assert bad.returncode == 1
    assert "prices.csv: line 3: amount = 'x'" in bad.stderr
    (masters / "prices.csv").write_text("sku,valid_from_ms,amount\nP1,0,100\nP2,0,200\n")
    assert "tax_rate 1, product 2, price 2" in run(*arguments).stdout
    assert "tax_rate 0, product 0, price 0" in run(*arguments).stdout
    (masters / "prices.csv").write_text("sku,valid_from_ms,amount\nP1,0,101\nP9,0,200\n")
    assert "sku = 'P9': there is no such product" in run(*arguments).stderr


def test_the_settlement_command_prints_rows_or_json(config: Path) -> None:
    """Nothing was sold yet."""
    assert run("settlement", "--config", str(config)).stdout == "no receipts\n"
    assert json.loads(run("settlement", "--config", str(config), "--json").stdout) == []
    assert run("settlement", "--config", str(config), "--abandon", "T01").returncode == 2


def test_losses_are_signed_by_command_and_refused_with_a_reason(config: Path) -> None:
    """Nothing of T99 has ever been here, so there is nothing that it could owe."""
    of_day = ("--config", str(config), "--date", "2025-03-01", "--evidence", "burnt")
    refused = run("settlement", *of_day, "--abandon", "T99")
    assert (refused.returncode, "no till T99 has ever been here" in refused.stderr) == (1, True)
    refused = run("settlement", "lost", "T99-ABCDE-000001", "T99-ABCDE-000002", *of_day)
    assert (refused.returncode, "no journals of T99 print ABCDE here" in refused.stderr) == (1, True)
    entries = ("settlement", "lost-entries", "T99", "0" * 32, "7", "--config", str(config), "--evidence", "burnt")
    refused = run(*entries, "0" * 64)
    assert (refused.returncode, "T99 has no such journal here" in refused.stderr) == (1, True)
    assert "hash 'xyz': expected 64" in run(*entries, "xyz").stderr
    bad_date = run("settlement", "--config", str(config), "--date", "March", "--evidence", "x", "--abandon", "T1")
    assert "date 'March': expected YYYY-MM-DD" in bad_date.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[server]\nlisten = "127.0.0.1:0"\n', "[server] needs database, or data_dir"),
        ('[server]\nlisten = "nowhere"\ndata_dir = "/x"\n', "listen = 'nowhere': expected host:port"),
        ('[server]\nlisten = "127.0.0.1:0"\nworker = 1\n', "no key 'worker'; allowed: "),
        ("[server\n", "not valid TOML"),
        ('[server]\nlisten = "127.0.0.1:0"\ndatabase = "mysql://u:pw@h/d"\n', "(not shown)"),
    ],
)
def test_a_bad_configuration_is_one_line_and_exit_code_2(folder: Path, text: str, told: str) -> None:
    """With file, key and value."""
    path = folder / "bad.toml"
    path.write_text(text)
    done = run("server", "--config", str(path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert told in done.stderr
    assert str(path) in done.stderr


def test_a_port_taken_and_a_database_not_provisioned_are_told(
    config: Path, postgres_cluster: EmbeddedPostgres
) -> None:
    """Exit code 2, and what to do."""
    host, _, port = listen_of(config).rpartition(":")
    with socket.create_server((host, int(port))):
        taken = run("server", "--config", str(config))
    assert taken.returncode == 2
    assert f"listen = '{host}:{port}': Address already in use" in taken.stderr
    empty = config.with_name("empty.toml")
    empty.write_text(f'[server]\ndatabase = "{new_database(postgres_cluster)}"\nlisten = "127.0.0.1:0"\n')
    done = run("server", "--config", str(empty))
    assert done.returncode == 2
    assert "is not provisioned: run `syncref provision server`" in done.stderr
    assert "***" in done.stderr


@pytest.mark.parametrize("words", [("settlement",), ("provision", "server"), ("promote",), ("confirm",)])
def test_a_database_that_does_not_answer_is_named_by_every_command(folder: Path, words: tuple[str, ...]) -> None:
    """Exit code 1, host and port, and not the password."""
    path = folder / "dead.toml"
    path.write_text(
        '[server]\ndatabase = "postgresql+psycopg2://u:hiddenpw@127.0.0.1:1/d"\nlisten = "127.0.0.1:0"\n'
    )
    done = run(*words, "--config", str(path))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert '"127.0.0.1", port 1 failed' in done.stderr
    assert "hiddenpw" not in done.stderr


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ('certificate_file = "/nowhere/tls.pem"\nkey_file = "/nowhere/tls.key"', "/nowhere/tls.pem can't be read"),
        ('key_file = "/nowhere/tls.key"', "certificate_file and key_file go together"),
        ('peers = ["http://elsewhere:9000"]\npeer_secret_file = "/x"', "would be sent unencrypted"),
        ('peers = ["elsewhere:9000"]\npeer_secret_file = "/x"', "expected https://host:port"),
    ],
)
def test_a_link_that_can_not_be_as_it_is_configured_is_told(folder: Path, more: str, told: str) -> None:
    """Before anything is served."""
    path = folder / "links.toml"
    path.write_text(f'[server]\ndatabase = "postgresql://u@127.0.0.1:1/d"\nlisten = "127.0.0.1:0"\n{more}\n')
    done = run("server", "--config", str(path))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert told in done.stderr


def test_the_embedded_postgresql_is_made_started_and_stopped_with_the_server(folder: Path) -> None:
    """With only a data_dir: provision, serve, stop; the database is there again the next time."""
    config = folder / "server.toml"
    port = free_port()
    config.write_text(f'[server]\ndata_dir = "{folder}"\nlisten = "127.0.0.1:{port}"\nworkers = 1\n')
    made = run("provision", "server", "--config", str(config))
    assert made.returncode == 0, made.stderr
    cluster = embedded(folder)
    assert cluster.running_port() is None
    process = subprocess.Popen(command("server", "--config", str(config)), stderr=subprocess.DEVNULL)
    try:
        assert answers(f"http://127.0.0.1:{port}/v1/health")
        dsn = cluster.dsn("syncref").replace("+psycopg2", "")
        connection = psycopg2.connect(dsn)
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT cluster FROM term")
            assert made.stdout.startswith(f"cluster {cursor.fetchone()[0]}")  # type: ignore[index]
        connection.close()
        with pytest.raises(psycopg2.OperationalError):
            psycopg2.connect(dsn.replace(dsn.split(":")[2].split("@")[0], "wrong"))
    finally:
        process.terminate()
        process.wait(WAIT_S)
    assert process.returncode == 0
    assert cluster.running_port() is None
    assert (folder / "postgres" / "password").stat().st_mode & 0o077 == 0
