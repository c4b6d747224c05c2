"""When customers arrive: an open schedule that follows from the seed and never waits for the system.

Gaps are exponential (a Poisson process); windows of a busier or quieter hour, and the shape of the load (a
ramp, a spike), are thinned out of the busiest rate. Visits come at their times whatever chance says. The n-th
arrival of a seat is the same in every run with that seed.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator, Sequence

from loadtest.plan import Shape, Window


def arrival_times(
    *,
    seed: int,
    stream: str,
    rate_per_s: float,
    windows: Sequence[Window] = (),
    shape: Shape = (),
    visits: Sequence[float] = (),
    until_s: float | None = None,
) -> Iterator[tuple[int, float]]:
    """Yield (n, seconds after the start) of each arrival, n from 0, until `until_s` (None: for ever)."""
    by_chance = _by_chance(f"{seed}|arrivals|{stream}", rate_per_s, windows, shape, until_s)
    certain = sorted(at_s for at_s in visits if until_s is None or at_s < until_s)
    return enumerate(heapq.merge(by_chance, certain))


def _by_chance(
    salt: str, rate_per_s: float, windows: Sequence[Window], shape: Shape, until_s: float | None
) -> Iterator[float]:
    rng = random.Random(salt)  # noqa: S311 - reproducible on purpose
    highest = max([1.0, *(window.factor for window in windows)]) * max(
        (factor for _, factor in shape), default=1.0
    )
    if highest <= 0:
        return
    at_s = 0.0
    while True:
        at_s += rng.expovariate(rate_per_s * highest)
        if until_s is not None and at_s >= until_s:
            return
        if rng.random() * highest < factor_at(windows, at_s) * shape_at(shape, at_s):
            yield at_s


def factor_at(windows: Sequence[Window], at_s: float) -> float:
    """Return the rate factor at a time: that of the last window holding it, else 1."""
    for window in reversed(windows):
        if window.from_s <= at_s < window.to_s:
            return window.factor
    return 1.0


def shape_at(shape: Shape, at_s: float) -> float:
    """Return the load's factor at a time: linear between its points, level outside of them; 1 without any."""
    if not shape:
        return 1.0
    before = shape[0]
    for point in shape:
        if at_s < point[0]:
            share = (at_s - before[0]) / (point[0] - before[0]) if point[0] > before[0] else 1.0
            return before[1] + share * (point[1] - before[1])
        before = point
    return before[1]
