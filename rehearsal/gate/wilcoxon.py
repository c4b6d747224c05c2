"""The exact Wilcoxon signed-rank test, and the Hodges-Lehmann estimate with its exact bounds.

Every one of the 2^n signs is counted, ties included (their ranks are averaged), so the error rate is the
stated one at any number of pairs; nothing is approximated by a normal distribution.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations_with_replacement
from statistics import median


def p_greater(differences: Sequence[float], *, than: float = 0.0) -> float:
    """Return how likely so large a rank sum is if the centre is `than`: small says that it is greater.

    A difference of exactly `than` counts against it. 1.0 without differences.
    """
    shifted = [value - than for value in differences]
    if not shifted:
        return 1.0
    ranks = _doubled_ranks([abs(value) for value in shifted])
    sum_up = sum(rank for rank, value in zip(ranks, shifted, strict=True) if value > 0)
    counts = _counts(tuple(sorted(ranks)))
    return float(sum(counts[sum_up:]) / 2 ** len(ranks))


def p_smaller(differences: Sequence[float], *, than: float = 0.0) -> float:
    """Return how likely so small a rank sum is if the centre is `than`."""
    return p_greater([-value for value in differences], than=-than)


def centre(differences: Sequence[float]) -> float:
    """Return the Hodges-Lehmann estimate: the median of the averages of every two. Raises on no data."""
    return median(_walsh(differences))


def bounds(differences: Sequence[float], *, alpha: float) -> tuple[float, float]:
    """Return the lower and the upper bound of the centre, each missed with a probability of at most `alpha`.

    Infinite while there are too few differences for that.
    """
    averages = sorted(_walsh(differences))
    counts = _counts(tuple(2 * rank for rank in range(1, len(differences) + 1)))
    total, below, cut = 2 ** len(differences), 0, 0
    for doubled in range(0, len(counts), 2):  # without ties, rank sums are whole numbers
        below += counts[doubled]
        if below > alpha * total:
            break
        cut += 1
    if cut == 0:
        return float("-inf"), float("inf")
    return averages[cut - 1], averages[-cut]


def _walsh(differences: Sequence[float]) -> list[float]:
    return [(a + b) / 2 for a, b in combinations_with_replacement(differences, 2)]


def _doubled_ranks(sizes: Sequence[float]) -> list[int]:
    """Return twice each value's rank, ties sharing the average of theirs, so that ranks stay whole."""
    order = sorted(sizes)
    first = {value: order.index(value) for value in set(order)}
    return [2 * first[value] + order.count(value) + 1 for value in sizes]


@cache
def _counts(doubled_ranks: tuple[int, ...]) -> tuple[int, ...]:
    """Return how many choices of signs give each (doubled) sum of the positive ranks."""
    counts = [1]
    for rank in doubled_ranks:
        longer = counts + [0] * rank
        for at, ways in enumerate(counts):
            longer[at + rank] += ways
        counts = longer
    return tuple(counts)
