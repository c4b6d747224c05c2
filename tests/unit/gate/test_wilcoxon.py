"""The exact test against a count of every choice of signs."""

from __future__ import annotations

from itertools import product
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rehearsal.gate.wilcoxon import bounds, centre, p_greater, p_smaller

few = st.lists(st.floats(-1, 1, allow_nan=False).filter(lambda x: x != 0), min_size=1, max_size=8)


def by_hand(values: list[float]) -> float:
    """Count every choice of signs whose rank sum is as large; ties share their ranks."""
    order = sorted(abs(value) for value in values)
    ranks = [sum(i + 1 for i, x in enumerate(order) if x == abs(v)) / order.count(abs(v)) for v in values]
    seen = sum(rank for rank, value in zip(ranks, values, strict=True) if value > 0)
    sums = [
        sum(rank for rank, up in zip(ranks, signs, strict=True) if up)
        for signs in product((False, True), repeat=len(values))
    ]
    return sum(one >= seen - 1e-9 for one in sums) / len(sums)


@given(few)
def test_the_p_value_is_the_share_of_signs_that_look_as_extreme(values: list[float]) -> None:
    """Exact, with and without ties."""
    assert p_greater(values) == pytest.approx(by_hand(values))


def test_a_table_value() -> None:
    """Ten differences upwards: one choice of 1024; the classic 5 % bound of n = 10 is a rank sum of 10."""
    assert p_greater([float(n) for n in range(1, 11)]) == 1 / 1024
    signs = [-1, -2, -3, -4, 5, 6, 7, 8, 9, 10]  # the negative ranks add up to 10
    assert p_greater([float(n) for n in signs]) == pytest.approx(0.0420, abs=1e-4)


@given(few, st.floats(-0.5, 0.5))
def test_smaller_is_greater_turned_round(values: list[float], than: float) -> None:
    """The two sides mirror each other."""
    assert p_smaller(values, than=than) == pytest.approx(p_greater([-v for v in values], than=-than))


@given(st.lists(st.floats(-1, 1), min_size=6, max_size=14, unique=True), st.sampled_from([0.005, 0.02, 0.05]))
def test_bounds_enclose_the_centre(values: list[float], alpha: float) -> None:
    """The estimate lies within its interval, and a smaller error makes no narrower one."""
    low, high = bounds(values, alpha=alpha)
    wide_low, wide_high = bounds(values, alpha=alpha / 4)
    assert wide_low <= low <= centre(values) <= high <= wide_high


def test_too_few_differences_bound_nothing() -> None:
    """Four differences can't be significant at 1 %: 1 of 16 choices is more than that."""
    assert bounds([1.0, 2.0, 3.0, 4.0], alpha=0.01) == (-inf, inf)


def test_the_interval_and_the_test_say_the_same() -> None:
    """The lower bound lies above a value exactly when the test rejects it, but for the bound itself."""
    values = [0.9, 1.1, 1.3, 1.2, 0.8, 1.0, 1.4, 0.7, 1.6, 1.5]
    low, _ = bounds(values, alpha=0.02)
    assert p_greater(values, than=low - 1e-6) <= 0.02 < p_greater(values, than=low + 1e-6)


def test_no_difference_says_nothing() -> None:
    """Without samples the p-value is 1; a difference of nothing counts against."""
    assert p_greater([]) == 1.0
    assert p_greater([0.0, 0.0, 0.0]) == 1.0
