"""When customers arrive: an open schedule that follows from the seed and never waits for the system.

Gaps are exponential (a Poisson process); windows of a busier or quieter hour are thinned out of the
busiest rate. The n-th arrival of a seat is the same in every run with that seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import count

from loadtest.plan import Window


def arrival_times(
    *, seed: int, stream: str, rate_per_s: float, windows: Sequence[Window] = (), until_s: float | None = None
) -> Iterator[tuple[int, float]]:
    """Yield (n, seconds after the start) of each arrival, n from 0, until `until_s` (None: for ever)."""
    rng = random.Random(f"{seed}|arrivals|{stream}")  # noqa: S311 - reproducible on purpose
    highest = max([1.0, *(window.factor for window in windows)])
    at_s = 0.0
    numbers = count()
    while True:
        at_s += rng.expovariate(rate_per_s * highest)
        if until_s is not None and at_s >= until_s:
            return
        if rng.random() * highest < factor_at(windows, at_s):
            yield next(numbers), at_s


def factor_at(windows: Sequence[Window], at_s: float) -> float:
    """Return the rate factor at a time: that of the last window holding it, else 1."""
    for window in reversed(windows):
        if window.from_s <= at_s < window.to_s:
            return window.factor
    return 1.0
