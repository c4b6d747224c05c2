"""Bugs planted in the real processes: each file is one, and patches the shipped code in its process.

Only rehearsal.prove.launcher loads them, and only the proof of the judge starts a process through that launcher:
no configuration, option or environment variable of the system under test leads here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One bug. `kinds`: the commands it is planted in; `scenario`: the least one under which it must show."""

    id: str
    title: str
    fault: str
    expected: str
    scenario: str
    kinds: tuple[str, ...]
    plant: Callable[[], None]


def swap(owner: Any, name: str, replacement: Any) -> None:
    """Put something else in a function's place, for the rest of this process."""
    assert hasattr(owner, name), f"{owner} has no {name} any more: the bug can't be planted"
    setattr(owner, name, replacement)


def all_planted() -> list[Planted]:
    """Return every bug, by number."""
    found: list[Planted] = []
    for info in iter_modules(__path__):
        found.append(import_module(f"{__name__}.{info.name}").PLANTED)
    return sorted(found, key=lambda bug: int(bug.id[1:]))


def planted_of(bug_id: str) -> Planted:
    """Return a bug by its id; raises KeyError."""
    return {bug.id: bug for bug in all_planted()}[bug_id]
