"""Caps on control group trees made of plain files: what is written, read back, and refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from chaos.caps import detect, scope
from chaos.caps.none import NoCaps
from chaos.caps.scope import ScopeCaps
from chaos.caps.v1 import CapsV1
from chaos.caps.v2 import CapsV2
from chaos.errors import CannotRun
from chaos.profiles import Caps

HALF = Caps(cpu_cores=0.5, memory_bytes=64 * 1024**2)


@pytest.fixture
def v1(tmp_path: Path) -> CapsV1:
    """A version 1 tree whose groups are made already, as plain folders."""
    for controller in ("cpu", "memory", "cpuacct"):
        (tmp_path / controller).mkdir()
    return CapsV1(cpu=tmp_path / "cpu", memory=tmp_path / "memory", cpuacct=tmp_path / "cpuacct")


def test_v1_limits_are_written_and_counters_read(v1: CapsV1) -> None:
    """Quota in microseconds of a period, memory in bytes; throttled time in nanoseconds comes out in seconds."""
    cage = v1.cage("run", "T01", HALF)
    cpu, memory, cpuacct = cage.folders
    assert (cpu / "cpu.cfs_quota_us").read_text() == "50000"
    assert (memory / "memory.limit_in_bytes").read_text() == str(64 * 1024**2)
    (cpu / "cpu.stat").write_text("nr_periods 100\nnr_throttled 7\nthrottled_time 1500000000\n")
    (memory / "memory.max_usage_in_bytes").write_text("1000\n")
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    (cpuacct / "cpuacct.usage").write_text("2500000000\n")
    counted = cage.read(None)
    assert (counted.cpu_quota_cores, counted.memory_limit_bytes) == (0.5, 64 * 1024**2)
    assert (counted.periods, counted.throttled_periods, counted.throttled_s) == (100, 7, 1.5)
    assert (counted.memory_peak_bytes, counted.oom_kills, counted.cpu_used_s) == (1000, 2, 2.5)
    assert [path.name for path in cage.procs_files] == ["cgroup.procs"] * 3


def test_v1_without_limits_reads_none(v1: CapsV1) -> None:
    """The kernel's words for unlimited are not figures."""
    cage = v1.cage("run", "server", Caps())
    (cage.folders[0] / "cpu.cfs_quota_us").write_text("-1")
    (cage.folders[0] / "cpu.cfs_period_us").write_text("100000")
    (cage.folders[1] / "memory.limit_in_bytes").write_text("9223372036854771712")
    counted = cage.read(None)
    assert (counted.enforced, counted.cpu_quota_cores, counted.memory_limit_bytes) == (True, None, None)


def test_v2_limits_are_written_and_counters_read(tmp_path: Path) -> None:
    """The same figures from the other version's files."""
    (tmp_path / "run-T01").mkdir()
    (tmp_path / "run-T01" / "memory.swap.max").write_text("max")
    cage = CapsV2(parent=tmp_path).cage("run", "T01", HALF)
    group = cage.folders[0]
    assert (group / "cpu.max").read_text() == "50000 100000"
    assert (group / "memory.swap.max").read_text() == "0"
    (group / "cpu.stat").write_text("usage_usec 2500000\nnr_periods 100\nnr_throttled 7\nthrottled_usec 1500000\n")
    (group / "memory.peak").write_text("1000\n")
    (group / "memory.events").write_text("low 0\nmax 3\noom 1\noom_kill 2\n")
    counted = cage.read(None)
    assert (counted.cpu_quota_cores, counted.memory_limit_bytes) == (0.5, 64 * 1024**2)
    assert (counted.periods, counted.throttled_periods, counted.throttled_s) == (100, 7, 1.5)
    assert (counted.memory_peak_bytes, counted.oom_kills, counted.cpu_used_s) == (1000, 2, 2.5)


def test_a_scope_is_one_command_before_the_nodes_own() -> None:
    """Quota in percent, no swap; ordinary users ask their own manager."""
    words = ScopeCaps(user=True).cage("run", "T 01", HALF).argv_prefix
    assert words[:3] == ("systemd-run", "--user", "--scope")
    assert "CPUQuota=50.0%" in words
    assert f"MemoryMax={64 * 1024**2}" in words
    assert words[-1] == "--"
    assert "--user" not in ScopeCaps(user=False).cage("run", "T01", Caps()).argv_prefix


def test_a_scopes_last_reading_outlives_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd removes the group with the last process; what was counted stays."""
    (tmp_path / "memory.peak").write_text("1000")
    monkeypatch.setattr(scope, "group_of", lambda pid: tmp_path if pid == 7 else None)
    cage = ScopeCaps(user=True).cage("run", "T01", HALF)
    assert cage.read(None).memory_peak_bytes is None
    assert cage.read(7).memory_peak_bytes == 1000
    assert cage.read(None).memory_peak_bytes == 1000


def test_no_caps_are_called_not_enforced() -> None:
    """With the reason at hand."""
    capper = NoCaps(reason="because")
    assert (capper.reason, capper.cage("run", "T01", HALF).read(None).enforced) == ("because", False)


def test_every_attempt_gives_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing works, the report can say why for each way."""
    for name in ("attempt_v2", "attempt_v1", "attempt_scope"):
        monkeypatch.setattr(detect, name, failing(name))
    found = detect.detect()
    assert (found.kind, found.reason) == ("none", "no attempt_v2; no attempt_v1; no attempt_scope")


def failing(name: str) -> object:
    """Return an attempt that can't run."""

    def attempt() -> None:
        raise CannotRun(f"no {name}")

    return attempt


def test_v2_without_its_controllers_is_refused(tmp_path: Path) -> None:
    """A hybrid system mounts version 2 without cpu and memory."""
    with pytest.raises(CannotRun, match="not mounted"):
        detect.attempt_v2(tmp_path, tmp_path / "none")
    (tmp_path / "cgroup.controllers").write_text("pids memory\n")
    (tmp_path / "cgroup.subtree_control").write_text("")
    with pytest.raises(CannotRun, match="no cpu controller"):
        detect.attempt_v2(tmp_path, tmp_path / "none")


def test_v1_groups_are_made_below_the_labs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the path of /proc is visible; else, as in a container, at the root of the hierarchy."""
    monkeypatch.setattr(detect, "prove", lambda capper: None)
    (tmp_path / "cpu").mkdir()
    (tmp_path / "memory" / "mine").mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("4:memory:/mine\n1:cpu:/hidden\n0::/\n")
    found = detect.attempt_v1(tmp_path, own)
    assert isinstance(found, CapsV1)
    assert (found.cpu, found.memory, found.cpuacct) == (tmp_path / "cpu", tmp_path / "memory" / "mine", None)


def test_a_kernel_that_ignores_limits_is_found_out(tmp_path: Path) -> None:
    """Detection compares what it reads back with what it wrote."""

    class Forgetful(CapsV2):
        """Takes no limits over."""

        def cage(self, run: str, node: str, caps: Caps) -> object:  # type: ignore[override]
            return super().cage(run, node, Caps())

    with pytest.raises(CannotRun, match="were not taken over"):
        detect.prove(Forgetful(parent=tmp_path))


def test_a_missing_session_manager_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd-run's last line is what the report shows."""
    refused = subprocess.CompletedProcess([], 1, "", "Failed to connect to bus\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: refused)
    with pytest.raises(CannotRun, match="systemd scope: Failed to connect to bus"):
        detect.attempt_scope()


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ("50000 100000\n67108864\n", ""),
        ("max 100000\n67108864\n", "limits were not taken over: max 100000 67108864"),
        ("50000 100000\nmax\n", "limits were not taken over: 50000 100000 max"),
        ("", "limits were not taken over"),
    ],
)
def test_a_session_manager_that_starts_scopes_without_their_limits_is_found_out(
    monkeypatch: pytest.MonkeyPatch, held: str, why: str
) -> None:
    """Without the controller it says nothing, and the tills would run free under limits that are claimed."""
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, held, ""))
    if not why:
        assert detect.attempt_scope().kind == "systemd-scope"
        return
    with pytest.raises(CannotRun, match=why):
        detect.attempt_scope()
