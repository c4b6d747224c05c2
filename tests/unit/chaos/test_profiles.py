"""Hardware profiles and the quotas they become."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.errors import CannotRun
from chaos.profiles import GIB, PROFILES, Caps, caps_of, host_ghz, profile_named


def test_the_quota_is_the_profiles_rate_over_the_hosts() -> None:
    """1.80 GHz on a host of 2.40 is three quarters of a core."""
    assert caps_of(PROFILES["site-1g-1.80"], ghz=2.40) == Caps(cpu_cores=0.75, memory_bytes=GIB)
    assert caps_of(PROFILES["lab-3g-2.40"], ghz=2.40) == Caps(cpu_cores=1.0, memory_bytes=3 * GIB)


def test_a_slow_host_gives_one_core_and_not_more_unless_asked() -> None:
    """A till's sale runs on one core."""
    assert caps_of(PROFILES["lab-1g-2.40"], ghz=1.2).cpu_cores == 1.0
    assert caps_of(PROFILES["lab-1g-2.40"], ghz=1.2, cores_max=2.0).cpu_cores == 2.0


def test_an_unknown_rate_caps_memory_only() -> None:
    """A guessed quota would be a false statement."""
    assert caps_of(PROFILES["lab-1g-2.40"], ghz=None) == Caps(memory_bytes=GIB)


def test_the_hosts_rate_is_the_highest_that_is_told(tmp_path: Path) -> None:
    """The frequency driver's, in kHz, before /proc/cpuinfo's, in MHz."""
    cpufreq, cpuinfo = tmp_path / "max", tmp_path / "cpuinfo"
    assert host_ghz(cpufreq=cpufreq, cpuinfo=cpuinfo) is None
    cpuinfo.write_text("model name : X\ncpu MHz\t\t: 1200.5\ncpu MHz\t\t: 2600.0\n")
    assert host_ghz(cpufreq=cpufreq, cpuinfo=cpuinfo) == 2.6
    cpufreq.write_text("3500000\n")
    assert host_ghz(cpufreq=cpufreq, cpuinfo=cpuinfo) == 3.5


def test_an_unknown_profile_is_named_with_those_there_are() -> None:
    """So that a typing error costs one look."""
    with pytest.raises(CannotRun, match=r"'site-2g'.*lab-3g-2\.40, lab-1g-2\.40, site-1g-1\.80"):
        profile_named("site-2g")
