"""The Docker fleet on a real engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

import docker
from chaos.errors import CannotRun, NodeFailed, StepFailed
from chaos.fleet.docker import labels, readiness
from chaos.fleet.docker.fleet import DockerFleet
from chaos.fleet.health import plain_dsn
from chaos.fleet.plan import NO_CAPS, NodePlan, Step
from chaos.proxy.client import Toxic
from tests.docker.conftest import CAPS, serving, things, until

pytestmark = pytest.mark.docker
ROOT = Path(__file__).parents[2]


def asked(fleet: DockerFleet, node: str, path: str = "/") -> str:
    """Return what a node answers."""
    with urllib.request.urlopen(fleet.url(node) + path, timeout=10) as answer:  # noqa: S310 - the fleet's own address
        return str(answer.read().decode())


def made(engine: docker.DockerClient, fleet: DockerFleet, node: str) -> dict[str, object]:
    """Return what the engine tells of a node's container."""
    return dict(engine.containers.get(f"{fleet.run}-{node}").attrs["HostConfig"])


def test_a_till_is_capped_hardened_and_published_on_loopback_only(
    engine: docker.DockerClient, fleet: DockerFleet
) -> None:
    """As `docker inspect` shows it, and as the kernel holds it."""
    fleet.stage(serving(fleet, "T01"))
    container = engine.containers.get(f"{fleet.run}-T01")
    host, config = container.attrs["HostConfig"], container.attrs["Config"]
    assert (host["Memory"], host["NanoCpus"]) == (CAPS.memory_bytes, 250_000_000)
    assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"])
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert config["User"] not in ("", "0", "root", "0:0")
    bindings = [
        one["HostIp"] for ports in container.attrs["NetworkSettings"]["Ports"].values() for one in ports or ()
    ]
    assert bindings
    assert set(bindings) == {"127.0.0.1"}
    counted = fleet.counters()["T01"]
    assert (counted.cpu_quota_cores, counted.memory_limit_bytes) == (CAPS.cpu_cores, CAPS.memory_bytes)


def test_throttling_is_counted_over_all_lives(fleet: DockerFleet) -> None:
    """What the kernel counted of a life is kept when the container is started again."""
    fleet.stage(serving(fleet, "T01"))
    asked(fleet, "T01", "/burn")
    before = fleet.counters()["T01"]
    assert (before.throttled_s or 0) > 0
    fleet.restart("T01")
    after = fleet.counters()["T01"]
    assert (after.throttled_s or 0) >= (before.throttled_s or 0)
    assert fleet.lives()["T01"] == 2


def test_a_kill_is_a_kill_and_was_asked_for(fleet: DockerFleet) -> None:
    """Status -9, no answer, another process afterwards, nothing unasked."""
    fleet.stage(serving(fleet, "T01"))
    first = fleet.pid("T01")
    assert fleet.kill("T01") == -signal.SIGKILL
    assert (fleet.state("T01"), fleet.healthy("T01"), fleet.pid("T01")) == ("stopped", False, None)
    assert fleet.kill("T01") is None
    assert fleet.start("T01") != first
    assert fleet.unasked_endings() == []


def test_a_paused_node_answers_nothing_and_goes_on_as_the_same_process(fleet: DockerFleet) -> None:
    """As a hung machine: the kernel freezes all of it."""
    fleet.stage(serving(fleet, "T01"))
    before = fleet.pid("T01")
    fleet.pause("T01")
    assert (fleet.state("T01"), fleet.healthy("T01")) == ("paused", False)
    fleet.resume("T01")
    assert (fleet.state("T01"), fleet.healthy("T01"), fleet.pid("T01")) == ("running", True, before)


def test_an_end_that_nobody_asked_for_is_noted(fleet: DockerFleet) -> None:
    """A node that ends by itself while nothing restarts it."""
    plan = NodePlan(name="clerk", argv=(fleet.python, "-c", "raise SystemExit(7)"))
    fleet.add(plan)
    fleet.start("clerk", wait=False)
    assert until(lambda: bool(fleet.unasked_endings()))
    ending = fleet.unasked_endings()[0]
    assert (ending.node, ending.status, ending.asked, ending.oom) == ("clerk", 7, False, False)


def test_a_node_at_its_memory_limit_is_killed_and_started_again_by_the_engine(fleet: DockerFleet) -> None:
    """Asked for by the lab, seen in the kernel's count, and back by itself."""
    fleet.stage(serving(fleet, "T01"))
    before = fleet.pid("T01")
    fleet.squeeze("T01")
    assert until(lambda: fleet.lives()["T01"] == 2 and fleet.healthy("T01"))
    assert fleet.pid("T01") != before
    assert (fleet.counters()["T01"].oom_kills or 0) >= 1
    assert fleet.unasked_endings() == []


def test_an_out_of_memory_kill_that_nobody_asked_for_is_told_as_one(fleet: DockerFleet) -> None:
    """The engine's word on it reaches the report."""
    hog = (fleet.python, "-c", "x = []\nwhile True: x.append(bytearray(b'1') * 2**20)")
    fleet.add(NodePlan(name="T01", argv=hog, caps=CAPS))
    fleet.start("T01", wait=False)
    assert until(lambda: any(ending.oom for ending in fleet.unasked_endings()))


def test_an_unplugged_till_reaches_nobody_and_is_still_reached_by_cashiers(fleet: DockerFleet) -> None:
    """Two networks: the counter's stays."""
    fleet.stage(serving(fleet, "server", caps=NO_CAPS), serving(fleet, "T01"))
    address = f"/ask?http://{fleet.peer('server')}/"
    assert asked(fleet, "T01", address) == "ok"
    fleet.unplug("T01")
    assert (fleet.plugged("T01"), asked(fleet, "T01", address)) == (False, "URLError")
    fleet.plug("T01")
    assert (fleet.plugged("T01"), asked(fleet, "T01", address)) == (True, "ok")


def test_links_run_through_toxiproxy_and_fail_one_by_one(fleet: DockerFleet) -> None:
    """The lab's probe goes the way of the till."""
    fleet.start_proxy()
    fleet.stage(serving(fleet, "server"))
    one, other = fleet.link("T01", "server"), fleet.link("T02", "server")
    assert fleet.engine.name == "toxiproxy"
    assert one.probe(path="/").outcome == "answered"
    one.cut()
    assert (one.probe(path="/").outcome, other.probe(path="/").outcome) == ("refused", "answered")
    one.heal()
    other.add(Toxic(name="slow", type="latency", stream="downstream", attributes={"latency": 300, "jitter": 0}))
    assert one.probe(path="/").took_ms < other.probe(path="/").took_ms
    assert other.probe(path="/").took_ms >= 300
    assert other.heal().toxics == ()


def test_a_standby_follows_its_primary(fleet: DockerFleet) -> None:
    """PostgreSQL by its own image, copied and streaming through a link; made anew on request."""
    fleet.start_proxy()
    fleet.start_postgres()
    fleet.dsn("shop")
    for _ in range(2):
        fleet.follow_postgres("postgres-standby", "postgres")
        run_sql(fleet.dsn("shop"), "CREATE TABLE IF NOT EXISTS t (n int); INSERT INTO t VALUES (1)")
        standby = fleet.dsn("shop", node="postgres-standby")
        assert until(lambda url=standby: run_sql(url, "SELECT pg_is_in_recovery(), to_regclass('t') IS NOT NULL"))  # type: ignore[misc]


def test_a_database_stops_at_once_although_clients_are_connected(fleet: DockerFleet) -> None:
    """As an administrator stops it: open connections don't hold it up until it has to be killed."""
    fleet.start_postgres()
    connection = psycopg2.connect(plain_dsn(fleet.dsn("shop")))
    try:
        assert fleet.stop("postgres") == 0
    finally:
        connection.close()
    fleet.start("postgres")
    assert run_sql(fleet.dsn("shop"), "SELECT true")


def run_sql(dsn: str, statement: str) -> bool:
    """Run a statement; true when every value of its first row is."""
    connection = psycopg2.connect(plain_dsn(dsn))
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.description is None or all(cursor.fetchone())
    finally:
        connection.close()


def test_a_step_that_fails_says_why_and_leaves_nothing(engine: docker.DockerClient, fleet: DockerFleet) -> None:
    """Its output is in the error and in its log."""
    with pytest.raises(StepFailed, match="ended with 3: no masters"):
        fleet.run_step(Step(name="import", argv=(fleet.python, "-c", "print('no masters'); raise SystemExit(3)")))
    assert fleet.log("import").read_text() == "no masters\n"
    assert not [name for name in things(engine, fleet.run) if "import" in name]


def test_a_node_sees_its_own_folder_and_those_it_names_only(fleet: DockerFleet) -> None:
    """Volumes by plan: another till's secrets are not there."""
    for name in ("T01", "T02", "masters"):
        (fleet.dir(name) / "file").write_text(name)
    look = "import sys, os; print([os.path.exists(name) for name in sys.argv[1:]])"
    files = [str(fleet.dir(name) / "file") for name in ("T01", "T02", "masters")]
    argv = (fleet.python, "-c", look, *files)
    assert (
        fleet.run_step(Step(name="look", argv=argv, folders=("T01", "masters"))).strip() == "[True, False, True]"
    )


def test_a_node_that_does_not_start_shows_its_log(fleet: DockerFleet) -> None:
    """The error ends with what the container said."""
    plan = NodePlan(
        name="server", argv=(fleet.python, "-c", "raise SystemExit('no licence')"), health_url="tcp://x:1"
    )
    with pytest.raises(NodeFailed, match="no licence"):
        fleet.stage(plan)


def test_nothing_is_left_and_the_logs_are_collected(engine: docker.DockerClient, tmp_path: Path) -> None:
    """Containers, volumes and networks go with the fleet; what was said stays."""
    with DockerFleet(run_dir=tmp_path) as fleet:
        fleet.stage(serving(fleet, "T01"))
        assert len(things(engine, fleet.run)) == 4
    assert things(engine, fleet.run) == []
    assert not fleet.work.exists()
    assert "serving" in (tmp_path / "logs" / "T01.log").read_text()


@contextmanager
def laboratory(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """A lab of its own, its warden and its run."""
    words = [sys.executable, "-m", "tests.docker.lab", str(folder)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as lab:
        assert lab.stdout is not None
        warden, run = lab.stdout.readline().split()
        try:
            yield lab, int(warden), run
        finally:
            lab.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_lab_that_is_killed_leaves_nothing(
    engine: docker.DockerClient, tmp_path: Path, number: signal.Signals
) -> None:
    """Ctrl-C by the lab itself, kill -9 by its warden."""
    with laboratory(tmp_path) as (lab, _, run):
        assert things(engine, run) != []
        lab.send_signal(number)
        lab.wait()
        assert until(lambda: things(engine, run) == [])


def test_what_a_lab_left_that_died_with_its_warden_the_next_one_sweeps(
    engine: docker.DockerClient, tmp_path: Path
) -> None:
    """And what a living lab has is left alone."""
    with laboratory(tmp_path / "living") as (_, _, living):
        with laboratory(tmp_path / "dead") as (lab, warden, dead):
            os.kill(warden, signal.SIGKILL)
            lab.kill()
            lab.wait()
            assert things(engine, dead) != []
        assert labels.sweep(engine) != []
        assert (things(engine, dead), things(engine, living) != []) == ([], True)


def test_an_image_of_other_source_is_refused(
    engine: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody rehearses yesterday's code by mistake."""
    monkeypatch.setattr(readiness, "digest", lambda: "0123456789abcdef")
    with pytest.raises(CannotRun, match="other source"):
        DockerFleet(run_dir=tmp_path)
    assert "other source" in readiness.obstacle()


def test_missing_images_are_named(engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with the way to get it; nothing is pulled."""
    monkeypatch.setenv("POSTGRES_IMAGE", "nowhere/postgres:1")
    assert "nowhere/postgres:1" in readiness.obstacle()
    assert "docker/offline/build" in readiness.obstacle()
