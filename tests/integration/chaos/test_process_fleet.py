"""The process fleet: nodes come up, fail clearly, stop, pause and keep their places."""

from __future__ import annotations

import os
import pwd
import signal
import sys
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest

from chaos.errors import CannotRun, NodeFailed, NodeUnknown, StepFailed
from chaos.fleet import postgres
from chaos.fleet.health import plain_dsn
from chaos.fleet.plan import NodePlan, Step
from chaos.fleet.process import ProcessFleet
from tests.integration.chaos.conftest import FREE, toy, until

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); open('ready', 'w'); time.sleep(600)",
)


def test_a_node_lives_through_stop_start_kill_and_pause(fleet: ProcessFleet) -> None:
    """Each life has another process id; port and folder stay."""
    fleet.stage(toy(fleet, "server"))
    first, port = fleet.pid("server"), fleet.port("server")
    assert (fleet.state("server"), fleet.healthy("server")) == ("running", True)
    fleet.pause("server")
    assert (fleet.state("server"), fleet.healthy("server")) == ("paused", False)
    fleet.resume("server")
    assert fleet.healthy("server")
    assert fleet.kill("server") == -signal.SIGKILL
    assert (fleet.state("server"), fleet.pid("server"), fleet.healthy("server")) == ("stopped", None, False)
    second = fleet.start("server")
    assert second != first
    assert fleet.restart("server") != second
    assert fleet.port("server") == port
    assert fleet.unasked_endings() == []
    assert fleet.stop("server") == -signal.SIGTERM
    assert fleet.stop("server") is None


def test_a_node_that_ends_at_once_fails_with_its_log(fleet: ProcessFleet) -> None:
    """The error says what ended, how, and shows the log's last lines."""
    plan = NodePlan(
        name="T01",
        argv=(sys.executable, "-c", "raise SystemExit('no such table')"),
        health_url="tcp://127.0.0.1:1",
    )
    with pytest.raises(NodeFailed, match=r"(?s)T01 ended with 1 .*no such table") as caught:
        fleet.stage(plan)
    assert str(fleet.log("T01")) in str(caught.value)


def test_a_node_that_never_answers_fails_at_its_deadline(fleet: ProcessFleet) -> None:
    """The deadline is the plan's."""
    plan = NodePlan(name="T01", argv=SLEEPER, health_url="tcp://127.0.0.1:1", health_deadline_s=0.2)
    with pytest.raises(NodeFailed, match=r"T01 did not answer within 0\.2 s"):
        fleet.stage(plan)


def test_a_program_that_is_not_there_is_named(fleet: ProcessFleet) -> None:
    """The error names node and program."""
    with pytest.raises(NodeFailed, match=r"T01 could not be started: No such file.*/no/such/till"):
        fleet.stage(NodePlan(name="T01", argv=("/no/such/till", "--config", "x")))


def test_a_node_that_crashes_is_an_end_that_nobody_asked_for(fleet: ProcessFleet) -> None:
    """The lab remembers it."""
    fleet.stage(NodePlan(name="T01", argv=SLEEPER))
    os.kill(fleet.pid("T01") or 0, signal.SIGABRT)
    assert until(lambda: fleet.state("T01") == "ended")
    assert [(ending.node, ending.status) for ending in fleet.unasked_endings()] == [("T01", -signal.SIGABRT)]


def test_a_proxy_or_a_warden_that_ends_is_lost_to_the_lab(fleet: ProcessFleet) -> None:
    """Without either no till reaches its server, whatever it does; a node that crashes is no part of the lab."""
    fleet.start_proxy()
    fleet.stage(NodePlan(name="T01", argv=SLEEPER))
    os.kill(fleet.pid("T01") or 0, signal.SIGABRT)
    assert until(lambda: fleet.state("T01") == "ended")
    assert fleet.lost() == []
    os.kill(fleet.pid("proxy") or 0, signal.SIGABRT)
    assert until(lambda: fleet.lost() == ["proxy"])
    os.kill(fleet._warden.pid, signal.SIGKILL)
    assert until(lambda: fleet.lost() == ["proxy", "warden"])


def test_a_node_whose_children_outlive_it_was_ended_all_the_same(fleet: ProcessFleet) -> None:
    """The stop fails and says why; it is no end that nobody asked for."""
    # a child that outlives its parent; both wait longer than the test, whose clean-up ends them
    begets = "import subprocess, time; subprocess.Popen(['sleep', '600']); open('ready', 'w'); time.sleep(600)"
    fleet.stage(NodePlan(name="T01", argv=(sys.executable, "-c", begets), stop_deadline_s=0.3))
    assert until((fleet.dir("T01") / "ready").exists)
    with pytest.raises(NodeFailed, match="outlive it"):
        fleet.stop("T01")
    assert (fleet.state("T01"), fleet.unasked_endings()) == ("stopped", [])


def test_a_node_that_ignores_the_end_is_killed(fleet: ProcessFleet) -> None:
    """After the plan's deadline; the status tells."""
    fleet.stage(NodePlan(name="T01", argv=STUBBORN, stop_deadline_s=0.3))
    assert until((fleet.dir("T01") / "ready").exists)
    assert fleet.stop("T01") == -signal.SIGKILL


def test_unknown_and_doubled_names_are_refused(fleet: ProcessFleet) -> None:
    """Each with the name."""
    fleet.stage(NodePlan(name="T01", argv=SLEEPER))
    with pytest.raises(NodeUnknown, match="no node T02: there is T01"):
        fleet.start("T02")
    with pytest.raises(NodeUnknown, match="T01 is there already"):
        fleet.stage(NodePlan(name="T01", argv=SLEEPER))
    with pytest.raises(NodeFailed, match="T01 is running already"):
        fleet.start("T01")


def test_steps_give_their_output_or_fail_with_it(fleet: ProcessFleet) -> None:
    """One-shot commands: output on success; code and output, or the deadline, on failure."""
    assert fleet.run_step(Step(name="ok", argv=(sys.executable, "-c", "print(6 * 7)"))) == "42\n"
    with pytest.raises(StepFailed, match="bad ended with 3: because"):
        fleet.run_step(Step(name="bad", argv=(sys.executable, "-c", "print('because'); raise SystemExit(3)")))
    with pytest.raises(StepFailed, match=r"slow took longer than 0\.2 s"):
        fleet.run_step(Step(name="slow", argv=SLEEPER, deadline_s=0.2))


def test_a_plans_environment_reaches_the_node(fleet: ProcessFleet) -> None:
    """Added to the lab's own."""
    code = "import os; print(os.environ['TILL'], 'PATH' in os.environ)"
    assert fleet.run_step(Step(name="env", argv=(sys.executable, "-c", code), env={"TILL": "T01"})) == "T01 True\n"


def test_postgresql_is_durable_and_not_root(fleet: ProcessFleet) -> None:
    """Real settings, its own account when the lab is root, and what was committed is there after kill -9."""
    fleet.start_postgres()
    dsn = plain_dsn(fleet.dsn("shop"))
    with closing(psycopg2.connect(dsn)) as connection:
        with connection.cursor() as cursor:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                cursor.execute(f"SHOW {setting}")
                assert cursor.fetchone() == ("on",)
            cursor.execute("CREATE TABLE receipt (n int)")
            cursor.execute("INSERT INTO receipt VALUES (7)")
        connection.commit()
    pid = fleet.pid("postgres")
    assert pid is not None
    owner = psutil.Process(pid).uids().real
    assert owner == (pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else os.geteuid())
    fleet.kill("postgres")
    fleet.start("postgres")
    with closing(psycopg2.connect(dsn)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT n FROM receipt")
        assert cursor.fetchone() == (7,)


def test_binaries_out_of_reach_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the account can't execute the installed ones, a copy in the temporary folder is used."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    real = postgres.executable
    monkeypatch.setattr(
        postgres, "executable", lambda folder, account: folder.is_relative_to(tmp_path) and real(folder, None)
    )
    found = postgres.binaries(None)
    assert found.is_relative_to(tmp_path)
    assert postgres.binaries(None) == found


def test_a_toxiproxy_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for by name, its absence is an error; with auto the built-in proxy takes over."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("TILLPROOF_TOXIPROXY", raising=False)
    with pytest.raises(CannotRun, match="no toxiproxy-server on PATH"):
        ProcessFleet(run_dir=tmp_path, engine="toxiproxy")


def test_a_lab_without_a_warden_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When not even the warden can be started, the error says so and the temporary folder is gone."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    monkeypatch.setattr("chaos.fleet.rundir.passable", lambda folder: True)
    with pytest.raises(CannotRun, match="warden process can't be started"):
        ProcessFleet(run_dir=tmp_path / "run", capper=FREE, engine="builtin")
    assert list(tmp_path.glob("tillproof-*-*")) == []
