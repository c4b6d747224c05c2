"""The deterministic tier: count in a fresh process, compare with the lock, exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rehearsal.gate.lock import LOCK, Changed, Counts, changes, other_versions, read_lock, write_lock

COUNT_TIMEOUT_S = 300


class NotCounted(Exception):
    """The figures could not be counted; the message holds the end of what was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What came of the tier: how many figures, what changed, and which versions differ from the lock's."""

    figures: int
    changed: tuple[Changed, ...]
    versions: tuple[str, ...]


def count(root: Path) -> Counts:
    """Count a tree's figures. Raises NotCounted."""
    command = [sys.executable, "-m", "rehearsal.gate.counting"]
    variables = {**os.environ, "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            command, cwd=root, env=variables, capture_output=True, timeout=COUNT_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotCounted(f"counting was not done after {COUNT_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise NotCounted(f"counting ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
    return msgspec.json.decode(done.stdout, type=dict[str, dict[str, int]])


def compare(root: Path, counts: Counts) -> Counted:
    """Compare counts with the tree's lock. Raises LockInvalid."""
    lock = read_lock(root / LOCK)
    return Counted(
        figures=sum(map(len, counts.values())),
        changed=changes(lock.figures, counts),
        versions=other_versions(lock.made_with),
    )


def update(root: Path, counts: Counts) -> Path:
    """Write the tree's lock and return its path."""
    path = root / LOCK
    write_lock(path, counts)
    return path
