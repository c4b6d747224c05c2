"""Whatever ends the laboratory, nothing that it started outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos.fleet import rundir
from chaos.fleet.processes import marked
from tests.integration.chaos.conftest import WAIT_S, until

LAB = str(Path(__file__).with_name("lab.py"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningLab:
    """A started laboratory."""

    process: subprocess.Popen[str]
    warden: int
    work: Path

    def processes(self) -> list[int]:
        """Return all that carry its marks."""
        return marked(self.work, rundir.MARKER)

    def groups(self) -> list[Path]:
        """Return control groups named after it."""
        return [path for path in Path("/sys/fs/cgroup").glob(f"*/{self.work.name}-*") if path.is_dir()]

    def gone(self) -> bool:
        """Tell whether nothing is left."""
        return not self.processes() and not self.work.exists() and not self.groups()


def started(run: Path, *words: str) -> RunningLab:
    """Start a laboratory and wait until it has told that all runs."""
    process = subprocess.Popen(
        [sys.executable, LAB, str(run), *words], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    warden, work = process.stdout.readline().split()
    return RunningLab(process=process, warden=int(warden), work=Path(work))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[RunningLab]:
    """A laboratory in full swing."""
    there = started(tmp_path)
    yield there
    there.process.kill()
    there.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_the_lab_is_ended(lab: RunningLab, number: signal.Signals) -> None:
    """Kill -9, Ctrl-C and SIGTERM: PostgreSQL, proxy, nodes and runaway grandchildren are gone, files too."""
    assert len(lab.processes()) >= 5
    os.killpg(lab.process.pid, number)
    lab.process.wait(WAIT_S)
    assert until(lab.gone), lab.processes()


def test_nothing_is_left_when_the_warden_dies_first(lab: RunningLab) -> None:
    """Nodes die with the warden; the lab, or the next one's sweep, removes the rest."""
    os.kill(lab.warden, signal.SIGKILL)
    os.kill(lab.process.pid, signal.SIGKILL)
    lab.process.wait(WAIT_S)
    assert until(lambda: lab.work in rundir.sweep(lab.work.parent) or lab.gone())
    assert until(lab.gone), lab.processes()


def test_a_living_lab_is_not_swept(lab: RunningLab) -> None:
    """Another lab's sweep leaves it alone."""
    before = lab.processes()
    rundir.sweep(lab.work.parent)
    assert lab.work.exists()
    assert set(before) <= set(lab.processes())


def test_nodes_outlive_the_thread_that_started_them(tmp_path: Path) -> None:
    """A node is tied to the warden's life, not to that of one of the lab's threads."""
    lab = started(tmp_path, "thread")
    lab.process.kill()
    lab.process.communicate()
    assert until(lab.gone), lab.processes()
