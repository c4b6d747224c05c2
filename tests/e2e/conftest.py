"""One real run of the smallest scenario, shared by all workers of a test session."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAM = (sys.executable, "-c", "from rehearsal.cli import main; main()")
RUN_S = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A run of `tillproof` that has ended. `folder` is None when it made none."""

    code: int
    output: str
    folder: Path | None

    @property
    def verdict(self) -> dict[str, Any]:
        """The run's verdict.json."""
        assert self.folder is not None, self.output
        found: dict[str, Any] = json.loads((self.folder / "verdict.json").read_text())
        return found

    def checks(self) -> dict[str, str]:
        """Check → verdict."""
        return {check["name"]: check["verdict"] for check in self.verdict["checks"]}


def tillproof(*words: str) -> Finished:
    """Run the command line in a process of its own."""
    done = subprocess.run([*PROGRAM, *words], capture_output=True, text=True, timeout=RUN_S, check=False)
    return Finished(code=done.returncode, output=done.stdout + done.stderr, folder=None)


def rehearse(reports: Path, *words: str) -> Finished:
    """Run a scenario with its report below `reports`."""
    done = tillproof("run", *words, "--fleet", "process", "--reports", str(reports))
    latest = reports / "latest"
    return Finished(code=done.code, output=done.output, folder=latest.resolve() if latest.is_symlink() else None)


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Hold a lock over the workers of a session."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Finished:
    """The smoke scenario, run once for all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    note = shared / "smoke.json"
    with one_at_a_time(shared / "smoke.lock"):
        if not note.exists():
            run = rehearse(shared / "smoke-reports", "smoke")
            note.write_text(json.dumps([run.code, run.output, str(run.folder or "")]))
        code, output, folder = json.loads(note.read_text())
    return Finished(code=code, output=output, folder=Path(folder) if folder else None)
