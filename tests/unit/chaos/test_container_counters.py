"""What the kernel counted for a container, from files as the kernel writes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from chaos.fleet.docker.container import HOG
from chaos.fleet.docker.counting import kernel_counters
from chaos.waiting import wait_until

PID = 4711


def process(folder: Path, *groups: str) -> Path:
    """Write what /proc tells of a process's groups; return that /proc."""
    proc = folder / "proc"
    (proc / str(PID)).mkdir(parents=True, exist_ok=True)
    (proc / str(PID) / "cgroup").write_text("".join(f"{line}\n" for line in groups))
    return proc


def group_v1(mount: Path, path: str, *, used_ns: int, peak: int) -> None:
    """Write one group of version 1."""
    for name in ("cpu", "memory", "cpuacct"):
        (mount / name / path).mkdir(parents=True, exist_ok=True)
    (mount / "cpu" / path / "cpu.stat").write_text("nr_periods 9\nnr_throttled 2\nthrottled_time 3000000000\n")
    (mount / "cpuacct" / path / "cpuacct.usage").write_text(f"{used_ns}\n")
    (mount / "memory" / path / "memory.max_usage_in_bytes").write_text(f"{peak}\n")


def group_v2(mount: Path, path: str, *, used_us: int, peak: int) -> None:
    """Write one group of version 2."""
    (mount / path).mkdir(parents=True, exist_ok=True)
    (mount / "cgroup.controllers").write_text("cpu memory\n")
    (mount / path / "cpu.stat").write_text(
        f"usage_usec {used_us}\nnr_periods 9\nnr_throttled 2\nthrottled_usec 3\n"
    )
    (mount / path / "memory.peak").write_text(f"{peak}\n")


@pytest.fixture
def mounts(tmp_path: Path) -> dict[str, Path]:
    """The groups' file systems of both versions, each with a container's group below the whole machine's."""
    v1, v2 = tmp_path / "v1", tmp_path / "v2"
    for path, seconds, mib in (("", 18_000, 20_000), ("docker/till", 4, 90)):
        group_v1(v1, path, used_ns=seconds * 10**9, peak=mib * 2**20)
        group_v2(v2, path, used_us=seconds * 10**6, peak=mib * 2**20)
    return {"v1": v1, "v2": v2}


LIVING = {
    "v1": ("4:memory:/docker/till", "2:cpuacct:/docker/till", "1:cpu:/docker/till", "0::/"),
    "v2": ("0::/docker/till",),
}
ENDING = {"v1": ("4:memory:/", "2:cpuacct:/", "1:cpu:/", "0::/"), "v2": ("0::/",)}


@pytest.mark.parametrize("version", LIVING)
def test_a_living_containers_account_is_its_own_groups(
    version: str, mounts: dict[str, Path], tmp_path: Path
) -> None:
    """Not the machine's."""
    found = kernel_counters(PID, mounts[version], process(tmp_path, *LIVING[version]))
    assert found is not None
    assert (found.cpu_used_s, found.memory_peak_bytes) == (4, 90 * 2**20)


@pytest.mark.parametrize("version", ENDING)
def test_a_process_that_is_ending_is_not_charged_with_the_whole_machine(
    version: str, mounts: dict[str, Path], tmp_path: Path
) -> None:
    """It is in the root group by then: nothing is told, and the reading before it stands."""
    assert kernel_counters(PID, mounts[version], process(tmp_path, *ENDING[version])) is None


def test_a_process_in_some_of_its_groups_only_is_not_told_of(mounts: dict[str, Path], tmp_path: Path) -> None:
    """Half of an account is none."""
    half = process(tmp_path, "4:memory:/", "2:cpuacct:/docker/till", "1:cpu:/docker/till", "0::/")
    assert kernel_counters(PID, mounts["v1"], half) is None


def test_a_process_that_is_gone_is_not_told_of(mounts: dict[str, Path], tmp_path: Path) -> None:
    """Its file can't be read any more."""
    assert kernel_counters(PID, mounts["v1"], tmp_path / "proc") is None


def test_memory_that_is_given_back_is_not_used_up_any_more(tmp_path: Path) -> None:
    """Who goes on writing to the removed file would have the till killed when the fault is over."""
    ballast = tmp_path / "ballast"
    with subprocess.Popen(["sh", "-c", HOG, str(ballast)], stderr=subprocess.DEVNULL) as hog:
        try:
            assert wait_until(lambda: ballast.exists() and ballast.stat().st_size > 0, 30.0, every_s=0.01)
            ballast.unlink()
            assert hog.wait(30) == 0
        finally:
            hog.kill()
    assert not ballast.exists()
