"""The judge of the simulation convicts every planted bug, by the checker that must, within few seeds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chaos.fleet.simulated.mutants import Mutant, all_mutants, field_mutants, planted
from chaos.fleet.simulated.run import Outcome, play_seeds

MUTANTS = [*all_mutants(), *field_mutants()]
SEEDS = 150


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_a_planted_bug_is_convicted_by_the_expected_checker(mutant: Mutant) -> None:
    """Under the fault that it is planted for."""
    with planted(mutant.id) as profile:
        assert profile is not None
        found = [mutant.expected in outcome.checkers for outcome in _until(mutant, profile)]
    assert found[-1], f"{mutant.id} ({mutant.title}) escapes {SEEDS} schedules under {mutant.fault}"


def _until(mutant: Mutant, profile: str) -> Iterator[Outcome]:
    for outcome in play_seeds(0, SEEDS, profile):
        yield outcome
        if mutant.expected in outcome.checkers:
            return


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_without_the_bug_the_same_fault_breaks_nothing(mutant: Mutant) -> None:
    """So it is the bug that is convicted, not the weather."""
    with planted(mutant.id):
        pass
    for outcome in play_seeds(0, 12, mutant.id):
        assert not outcome.findings, f"seed {outcome.plan.seed}: {outcome.findings[:3]}"


def test_all_forty_rows_are_planted() -> None:
    """S1 to S40, each once."""
    assert [mutant.id for mutant in all_mutants()] == [f"S{n}" for n in range(1, 41)]
