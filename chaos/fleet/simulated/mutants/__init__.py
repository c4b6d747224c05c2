"""Planted bugs: each file is one, a switch that only tests and `--mutant` reach. None is in production code.

A mutant replaces functions of the cores or of the simulated stores while it is planted; it names the fault
under which it must show, and the checker that must convict it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any
from unittest.mock import patch

from chaos.fleet.simulated.plan import PROFILES, Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One planted bug. `swaps` are (owner, attribute, replacement)."""

    id: str
    title: str
    fault: str
    expected: str
    profile: Profile
    swaps: list[tuple[Any, str, Any]]


def all_mutants() -> list[Mutant]:
    """Return the planted bugs S1 to S40, by id."""
    return _mutants("s")


def field_mutants() -> list[Mutant]:
    """Return the twins of failures that the field reported (F) and that were measured on peers (P), by id."""
    return _mutants("f", "p")


def _mutants(*letters: str) -> list[Mutant]:
    found: list[Mutant] = []
    for info in iter_modules(__path__):
        if info.name.startswith(letters):
            found.append(import_module(f"{__name__}.{info.name}").MUTANT)
    return sorted(found, key=lambda mutant: (mutant.id[0], int(mutant.id[1:])))


@contextmanager
def planted(mutant_id: str | None) -> Iterator[str | None]:
    """Plant a bug for a while; yield the name of the profile under which it shows. Raises KeyError."""
    if mutant_id is None:
        yield None
        return
    by_id = {mutant.id: mutant for mutant in (*all_mutants(), *field_mutants())}
    if mutant_id not in by_id:
        raise KeyError(f"{mutant_id} is none of {', '.join(by_id)}")
    mutant = by_id[mutant_id]
    PROFILES[mutant.id] = mutant.profile
    with ExitStack() as stack:
        for owner, name, replacement in mutant.swaps:
            stack.enter_context(patch.object(owner, name, replacement))
        yield mutant.id
