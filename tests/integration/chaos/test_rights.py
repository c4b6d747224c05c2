"""What needs root: disks of their own and control groups. An ordinary user skips these, and only these."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from chaos.caps.detect import detect
from chaos.faults.base import Context
from chaos.faults.catalogue import fault
from chaos.fleet.plan import NodePlan
from chaos.fleet.process import ProcessFleet
from chaos.profiles import Caps
from tests.integration.chaos.conftest import FREE, FileWitness, toy, until
from tests.integration.chaos.test_faults import suffered

MIB = 1024**2
BURN = "while True: pass"
EAT = "import time; x = bytearray(200 * 1024**2); time.sleep(60)"

pytestmark = pytest.mark.root


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a disk for a node needs root")
def test_a_full_disk_makes_a_till_refuse_sales(tmp_path: Path) -> None:
    """Ballast fills the till's own disk, the till refuses, and goes on when there is room again."""
    with ProcessFleet(run_dir=tmp_path, capper=FREE, engine="builtin") as fleet:
        folder = fleet.small_disk("T01", 4 * MIB)
        fleet.start_proxy()
        fleet.stage(toy(fleet, "server"))
        fleet.stage(toy(fleet, "T01", fleet.link("T01", "server").url))
        context = Context(fleet=fleet, witness=FileWitness(fleet))
        bite, healed = suffered(context, fault("disk_full", ["T01"]))
        assert (bite.bit, healed.ok) == (True, True), (bite, healed)
        head = context.witness.till_head("T01") or 0
        assert until(lambda: (context.witness.till_head("T01") or 0) > head)
    assert not os.path.ismount(folder)


@pytest.fixture
def capped(tmp_path: Path) -> ProcessFleet:
    """A fleet with the caps of this machine; skipped where it has none."""
    capper = detect()
    if capper.kind == "none":
        pytest.skip(f"no caps here: {capper.reason}")
    return ProcessFleet(run_dir=tmp_path, capper=capper, engine="builtin")


def test_a_cpu_quota_is_enforced_and_counted(capped: ProcessFleet) -> None:
    """A node that burns CPU under a tenth of a core is throttled, as the kernel counts."""
    with capped as fleet:
        fleet.stage(NodePlan(name="T01", argv=(sys.executable, "-c", BURN), caps=Caps(cpu_cores=0.1)))
        assert until(lambda: (fleet.counters()["T01"].throttled_periods or 0) > 2)
        counted = fleet.counters()["T01"]
        assert (counted.enforced, counted.cpu_quota_cores) == (True, 0.1)
        assert counted.throttled_s is not None
        assert counted.throttled_s > 0


def test_a_memory_limit_is_enforced_and_counted(capped: ProcessFleet) -> None:
    """A node that takes more than its memory is killed by the kernel: an end that nobody asked for."""
    with capped as fleet:
        fleet.stage(NodePlan(name="T01", argv=(sys.executable, "-c", EAT), caps=Caps(memory_bytes=64 * MIB)))
        assert until(lambda: fleet.state("T01") == "ended")
        assert [ending.status for ending in fleet.unasked_endings()] == [-9]
        counted = fleet.counters()["T01"]
        assert counted.memory_limit_bytes == 64 * MIB
        if counted.oom_kills is not None:
            assert counted.oom_kills >= 1


def test_counters_go_on_over_a_restart(capped: ProcessFleet) -> None:
    """CPU time and peak memory belong to the node, not to one life of it."""
    with capped as fleet:
        fleet.stage(NodePlan(name="T01", argv=(sys.executable, "-c", BURN), caps=Caps(cpu_cores=0.1)))
        assert until(lambda: (fleet.counters()["T01"].throttled_periods or 0) > 2)
        before = fleet.counters()["T01"].throttled_periods or 0
        fleet.kill("T01")
        fleet.start("T01")
        assert (fleet.counters()["T01"].throttled_periods or 0) >= before
        groups = fleet._nodes["T01"].cage.folders
    assert not any(group.exists() for group in groups)
