"""A server and a back office that are started while their database is away."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from syncref.errors import StorageFailed
from syncref.server import awaiting
from syncref.server.embedded import EmbeddedPostgres
from syncref.server.provision import provision
from syncref.server.reign import Reign
from syncref.store.server_open import open_engine
from tests.integration.conftest import new_database
from tests.integration.server.test_commands import answers, command, free_port

WAIT_S = 60.0


class Hidden:
    """A provisioned database that is away, under another name, until it is shown."""

    def __init__(self, cluster: EmbeddedPostgres) -> None:
        self.dsn = new_database(cluster)
        engine = open_engine(self.dsn, connections=1)
        provision(engine, [])
        engine.dispose()
        self._admin = cluster.dsn("postgres")
        self._name = make_url(self.dsn).database
        self._rename(f"{self._name} RENAME TO {self._name}_away")

    def show(self) -> None:
        """Give it its name back."""
        self._rename(f"{self._name}_away RENAME TO {self._name}")

    def _rename(self, words: str) -> None:
        engine = create_engine(self._admin, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"ALTER DATABASE {words}")
        engine.dispose()


def started(kind: str, dsn: str, folder: Path) -> tuple[subprocess.Popen[str], str, Path]:
    """Start a process; return it, its URL, and its log."""
    section = {"server": "server", "backoffice": "backoffice"}[kind]
    listen = f"127.0.0.1:{free_port()}"
    config, log = folder / f"{kind}.toml", folder / f"{kind}.log"
    config.write_text(f'[{section}]\ndatabase = "{dsn}"\nlisten = "{listen}"\n')
    with log.open("w") as out:
        process = subprocess.Popen(command(kind, "--config", str(config)), stderr=out, text=True)
    return process, f"http://{listen}", log


def said(log: Path, name: str) -> dict[str, object]:
    """Wait for an event in a log."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        for line in log.read_text().splitlines(keepends=True):
            if line.endswith("\n") and (found := json.loads(line))["event"] == name:
                return dict(found)
        time.sleep(0.05)
    raise AssertionError(f"no {name} in {log.read_text()}")


@pytest.mark.parametrize("kind", ["server", "backoffice"])
def test_it_waits_for_its_database_says_so_and_then_serves(
    kind: str, postgres_cluster: EmbeddedPostgres, tmp_path: Path
) -> None:
    """Callers are refused meanwhile, so that they go on to the next server at once."""
    hidden = Hidden(postgres_cluster)
    process, url, log = started(kind, hidden.dsn, tmp_path)
    try:
        away = said(log, "database_away")
        assert "does not exist" in str(away["reason"])
        assert "***" in str(away["database"])
        assert process.poll() is None
        hidden.show()
        assert answers(f"{url}/v1/health", process)
        assert said(log, "database_back")
    finally:
        process.terminate()
        process.wait(WAIT_S)
    assert process.returncode == 0


@pytest.mark.parametrize("kind", ["server", "backoffice"])
def test_it_ends_with_0_when_it_is_told_to_stop_while_it_waits(
    kind: str, postgres_cluster: EmbeddedPostgres, tmp_path: Path
) -> None:
    """SIGTERM is no crash."""
    process, _, log = started(kind, Hidden(postgres_cluster).dsn, tmp_path)
    try:
        said(log, "database_away")
        process.terminate()
        process.wait(WAIT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert "Traceback" not in log.read_text()


def test_a_database_that_goes_away_in_the_midst_of_the_start_is_waited_for_again(
    postgres_cluster: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start is repeated whole."""
    dsn = new_database(postgres_cluster)
    engine = open_engine(dsn, connections=1)
    provision(engine, [])
    begun = []
    real = Reign.begin

    def begin(self: Reign) -> object:
        begun.append(os.getpid())
        if len(begun) == 1:
            raise StorageFailed("the database failed (SQLSTATE 08000)")
        return real(self)

    monkeypatch.setattr(Reign, "begin", begin)
    awaiting.begin(dsn, peers=0, rank=0)
    assert len(begun) == 2
    assert Reign(engine, peers=0).now().role.value == "live"
    engine.dispose()
