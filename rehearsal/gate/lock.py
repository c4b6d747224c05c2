"""gate.lock.toml: what the deterministic tier counted when somebody last looked at it.

Figures are whole numbers and compared exactly, in both directions: a saving is written down like a cost, so
that the next loss of it shows. What they were counted with is kept beside them, and explains a difference.
"""

from __future__ import annotations

import importlib.metadata
import sqlite3
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LOCK = Path("gate.lock.toml")
MADE_WITH = "made_with"
PACKAGES = ("msgspec", "psycopg2-binary", "SQLAlchemy", "zstandard")
HEAD = """\
# What a sale costs, counted: bytes, SQL statements, commits, messages, virtual milliseconds.
# `tillproof gate` compares exactly. After an intended change: `tillproof gate --update`, and commit the diff.
"""
Counts = Mapping[str, Mapping[str, int]]


class LockInvalid(Exception):
    """The lock can't be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Figures by group, and the versions that they were counted with."""

    figures: Counts
    made_with: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A figure that is not as it was; None on the side that lacks it."""

    name: str
    locked: int | None
    counted: int | None

    @property
    def text(self) -> str:
        """The change as people read it."""
        if self.locked is None:
            return f"{self.name}: {self.counted}, not in the lock"
        if self.counted is None:
            return f"{self.name}: {self.locked} in the lock, no longer counted"
        share = f" ({100 * (self.counted - self.locked) / self.locked:+.1f} %)" if self.locked else ""
        return f"{self.name}: {self.locked} -> {self.counted}{share}"


def read_lock(path: Path) -> Lock:
    """Return the lock in a file. Raises LockInvalid."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LockInvalid(f"{path}: {error.strerror}; `tillproof gate --update` writes it") from error
    except ValueError as error:  # no text, no TOML, or a number of too many digits
        raise LockInvalid(f"{path}: {error}") from error
    made_with = data.pop(MADE_WITH, {})
    if not isinstance(made_with, dict):
        raise LockInvalid(f"{path}: {MADE_WITH}: expected a table [{MADE_WITH}]")
    for group, figures in data.items():
        if not isinstance(figures, dict):
            raise LockInvalid(f"{path}: {group}: expected a table [{group}]")
        for name, value in figures.items():
            if isinstance(value, bool) or not isinstance(value, int):
                raise LockInvalid(f"{path}: {group}.{name}: {value!r} is not a whole number")
    if not data:
        raise LockInvalid(f"{path}: holds no figures; `tillproof gate --update` writes them")
    return Lock(figures=data, made_with={str(name): str(version) for name, version in made_with.items()})


def write_lock(path: Path, counts: Counts) -> None:
    """Write the lock."""
    tables = [HEAD, f"\n[{MADE_WITH}]\n", *(f'"{name}" = "{version}"\n' for name, version in versions().items())]
    for group, figures in counts.items():
        tables += [f"\n[{group}]\n", *(f'"{name}" = {value}\n' for name, value in figures.items())]
    path.write_text("".join(tables), encoding="utf-8")


def versions() -> dict[str, str]:
    """Return what the figures depend on besides the project."""
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {**found, "SQLite": sqlite3.sqlite_version}


def changes(locked: Counts, counted: Counts) -> tuple[Changed, ...]:
    """Return every figure that differs or is on one side only."""
    before, now = _flat(locked), _flat(counted)
    names = dict.fromkeys([*before, *now])
    return tuple(
        Changed(name=name, locked=before.get(name), counted=now.get(name))
        for name in names
        if before.get(name) != now.get(name)
    )


def other_versions(made_with: Mapping[str, str]) -> tuple[str, ...]:
    """Return what was another version when the lock was written."""
    return tuple(
        f"{name} {version} here, {made_with.get(name, 'unknown')} in the lock"
        for name, version in versions().items()
        if made_with.get(name) != version
    )


def _flat(counts: Counts) -> dict[str, int]:
    return {f"{group}.{name}": value for group, figures in counts.items() for name, value in figures.items()}
