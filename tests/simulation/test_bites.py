"""Every misfortune that is planned bites, and is counted where it is felt."""

from __future__ import annotations

from collections import Counter

import pytest

from chaos.fleet.simulated.bites import KINDS, told
from chaos.fleet.simulated.run import play_seeds

SEEDS = 1500


@pytest.mark.long
def test_every_misfortune_bites_within_a_ci_run() -> None:
    """Fewer schedules than CI plays are enough for each kind to be felt at least once."""
    counts: Counter[str] = Counter()
    killed: Counter[str] = Counter()
    for outcome in play_seeds(200_000, SEEDS, "everything"):
        counts.update(outcome.bites)
        killed.update(outcome.killed)
    assert set(counts) == set(KINDS)
    assert len(killed) >= 25, killed


def test_what_never_bit_is_told_with_a_nought() -> None:
    """So a misfortune that stopped biting is seen."""
    lines = told({"net.cut": 3}, {"net.cut": 2}, {})
    assert any(line.split()[:2] == ["3", "2"] and "cut link" in line for line in lines)
    assert any(line.split()[:2] == ["0", "0"] and "promotions" in line for line in lines)
    assert len(lines) == 1 + len(KINDS)
