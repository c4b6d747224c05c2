"""The machines that tills are rehearsed on, and the share of this host that stands for each.

A profile names memory and clock rate. The CPU quota is the profile's rate over the host's, for a till has one
core that matters: the one its sale runs on. The report shows both numbers, never the quota alone.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from chaos.errors import CannotRun

GIB = 1024**3
CPUINFO = Path("/proc/cpuinfo")
CPUFREQ = Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Limits of one node. None: no limit."""

    cpu_cores: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A till's hardware: memory in bytes, clock rate in GHz of one core."""

    name: str
    memory_bytes: int
    ghz: float


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(name="lab-3g-2.40", memory_bytes=3 * GIB, ghz=2.40),
        Profile(name="lab-1g-2.40", memory_bytes=1 * GIB, ghz=2.40),
        Profile(name="site-1g-1.80", memory_bytes=1 * GIB, ghz=1.80),
    )
}


def profile_named(name: str) -> Profile:
    """Return a profile; raise CannotRun with the names there are."""
    if name not in PROFILES:
        raise CannotRun(f"hardware profile {name!r}: there is {', '.join(PROFILES)}")
    return PROFILES[name]


def host_ghz(*, cpufreq: Path = CPUFREQ, cpuinfo: Path = CPUINFO) -> float | None:
    """Return the clock rate of this host's cores in GHz, or None where the kernel doesn't tell.

    The highest rate that the frequency driver offers, else the highest of /proc/cpuinfo.
    """
    try:
        return int(cpufreq.read_text()) / 1e6
    except (OSError, ValueError):
        pass
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return None
    rates = [float(line.split(":")[1]) for line in lines if line.startswith("cpu MHz")]
    return max(rates) / 1000 if rates else None


def caps_of(profile: Profile, *, ghz: float | None, cores_max: float = 1.0) -> Caps:
    """Return the caps that stand for a profile on a host whose cores run at `ghz`.

    An unknown rate leaves the CPU uncapped: a guessed quota would be a false statement about the hardware.
    """
    if ghz is None:
        return Caps(memory_bytes=profile.memory_bytes)
    return Caps(cpu_cores=min(round(profile.ghz / ghz, 3), cores_max), memory_bytes=profile.memory_bytes)


def machine() -> str:
    """Return the processor's name and rate as the report shows them."""
    rate = host_ghz()
    name = platform.machine()
    if CPUINFO.exists():
        names = [
            line.split(":")[1].strip()
            for line in CPUINFO.read_text().splitlines()
            if line.startswith("model name")
        ]
        name = names[0] if names else name
    return name if rate is None else f"{name} at {rate:.2f} GHz"
