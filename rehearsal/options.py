"""What one run is asked for on the command line, as values, and how it is named."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rehearsal.plan.loader import Overrides

ROOT = Path(__file__).resolve().parent.parent
SCENARIOS = Path(__file__).resolve().parent / "scenarios"


JOIN_S = 2.0  # for each worker of this machine
JOIN_REMOTE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocustWorkers:
    """How the load is spread: workers started here, and workers of other machines that are waited for.

    `bind` is where the master listens for them.
    """

    here: int = 0
    remote: int = 0
    bind: str = "127.0.0.1"

    @property
    def count(self) -> int:
        """All workers together; 0: one process does it alone."""
        return self.here + self.remote

    @property
    def join_s(self) -> float:
        """Seconds that they get to come."""
        return JOIN_S * self.here + (JOIN_REMOTE_S if self.remote else 0.0)


ALONE = LocustWorkers()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line of `tillproof run`."""

    scenario: str
    fleet: str = "auto"
    tills: int | None = None
    seed: int | None = None
    profile: str | None = None
    values: tuple[tuple[str, str], ...] = ()
    masters: Path | None = None
    real_time: bool = False
    reports: Path = Path("reports")
    locust: LocustWorkers = ALONE
    record: Path | None = None

    def reproduce(self, seed: int) -> str:
        """Return the command that runs the same again."""
        words = ["tillproof", "run", self.scenario, "--seed", str(seed)]
        words += ["--fleet", self.fleet] if self.fleet != "auto" else []
        words += ["--tills", str(self.tills)] if self.tills is not None else []
        words += ["--profile", self.profile] if self.profile is not None else []
        words += [word for key, value in self.values for word in ("--set", f"{key}={value}")]
        words += ["--masters", str(self.masters)] if self.masters is not None else []
        words += ["--real-time"] if self.real_time else []
        words += ["--locust-workers", str(self.locust.here)] if self.locust.here else []
        words += ["--locust-remote", str(self.locust.remote)] if self.locust.remote else []
        words += ["--locust-bind", self.locust.bind] if self.locust.bind != ALONE.bind else []
        return shlex.join(words)


def overrides_of(options: Options) -> Overrides:
    """Return what the command line changes in the scenario's file."""
    return Overrides(tills=options.tills, seed=options.seed, profile=options.profile, values=options.values)


def scenario_path(name: str) -> Path | None:
    """Return the file of a scenario: one of Tillproof's own by name, or the user's by path."""
    own = SCENARIOS / f"{name}.toml"
    if own.exists():
        return own
    path = Path(name)
    return path if path.suffix == ".toml" and path.is_file() else None


def scenario_names() -> tuple[str, ...]:
    """Return the names of Tillproof's own scenarios."""
    return tuple(sorted(path.stem for path in SCENARIOS.glob("*.toml")))


def run_id(scenario: str, seed: int, now: datetime) -> str:
    """Return the name of a run's folder."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{scenario}-{seed}"


def commit() -> str:
    """Return the commit that runs, with `+changes` when files differ from it; `unknown` outside a clone."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+changes" if changed else "")


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True
    ).stdout.strip()
