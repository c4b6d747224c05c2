"""The open schedule."""

from __future__ import annotations

from itertools import islice

import pytest

from loadtest.arrivals import arrival_times, factor_at, shape_at
from loadtest.plan import Window


def test_the_same_seed_gives_the_same_arrivals() -> None:
    """Two runs with one seed serve the same customers at the same times; another seed doesn't."""
    first, again, other = (
        list(arrival_times(seed=seed, stream="T01|0", rate_per_s=2, until_s=100)) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_tills_have_schedules_of_their_own() -> None:
    """Two tills under one seed don't get their customers at the same moments."""
    one, two = (list(arrival_times(seed=1, stream=s, rate_per_s=2, until_s=100)) for s in ("T01|0", "T02|0"))
    assert not {at for _, at in one} & {at for _, at in two}


def test_the_rate_is_kept_on_average() -> None:
    """Arrivals are numbered without a hole and come as often as asked, within four standard deviations."""
    times = list(arrival_times(seed=3, stream="T01|0", rate_per_s=5, until_s=2000))
    assert [n for n, _ in times] == list(range(len(times)))
    assert abs(len(times) - 10_000) < 400


def test_a_busy_window_multiplies_arrivals() -> None:
    """A window with factor 4 has four times as many arrivals as the time around it."""
    windows = (Window(from_s=1000, to_s=2000, factor=4.0),)
    times = [at for _, at in arrival_times(seed=3, stream="x", rate_per_s=2, windows=windows, until_s=3000)]
    inside = sum(1000 <= at < 2000 for at in times)
    assert 3.4 < inside / ((len(times) - inside) / 2) < 4.6


def test_the_last_window_holding_a_moment_decides() -> None:
    """Windows may overlap; outside of them the factor is 1."""
    windows = (Window(from_s=0, to_s=10, factor=2.0), Window(from_s=5, to_s=6, factor=0.5))
    assert [factor_at(windows, at) for at in (0, 5.5, 6, 10)] == [2.0, 0.5, 2.0, 1.0]


def test_an_endless_schedule_never_stops() -> None:
    """Without an end there is always a next customer."""
    assert len(list(islice(arrival_times(seed=1, stream="x", rate_per_s=1000), 5000))) == 5000


def test_a_ramp_rises_evenly() -> None:
    """From 1 to 9 times the rate: 3 of 10 customers come in the first half, whose mean is 3 of a mean of 5."""
    shape = ((0.0, 1.0), (2000.0, 9.0))
    times = [at for _, at in arrival_times(seed=4, stream="x", rate_per_s=1, shape=shape, until_s=2000)]
    assert abs(len(times) - 10_000) < 400
    assert sum(at < 1000 for at in times) / len(times) == pytest.approx(0.3, abs=0.02)


def test_a_spike_jumps_and_falls_back() -> None:
    """Between its two instants the rate is the spike's, outside of them as ever."""
    shape = ((10.0, 1.0), (10.0, 6.0), (15.0, 6.0), (15.0, 1.0))
    assert [shape_at(shape, at) for at in (0, 9.9, 10, 14.9, 15, 99)] == [1, 1, 6, 6, 1, 1]
    assert shape_at((), 5) == 1.0


def test_a_load_without_shape_has_the_arrivals_that_it_always_had() -> None:
    """A level shape changes nothing of a seed's schedule."""
    plain = list(arrival_times(seed=1, stream="x", rate_per_s=3, until_s=50))
    assert list(arrival_times(seed=1, stream="x", rate_per_s=3, until_s=50, shape=((0.0, 1.0),))) == plain


def test_a_shape_at_nothing_brings_nobody() -> None:
    """A rate of zero ends the schedule instead of searching for ever."""
    assert list(arrival_times(seed=1, stream="x", rate_per_s=3, shape=((0.0, 0.0),))) == []


def test_visits_come_whatever_chance_says() -> None:
    """They are numbered among the others, and end with the schedule."""
    chance = [at for _, at in arrival_times(seed=1, stream="T01|0", rate_per_s=2, until_s=10)]
    times = list(arrival_times(seed=1, stream="T01|0", rate_per_s=2, visits=(7.5, 2.25, 12.0), until_s=10))
    assert [n for n, _ in times] == list(range(len(chance) + 2))
    assert [at for _, at in times] == sorted([*chance, 2.25, 7.5])
    closed = (Window(from_s=0, to_s=10, factor=0.0),)
    alone = arrival_times(seed=1, stream="T01|0", rate_per_s=2, windows=closed, visits=(3.0,), until_s=10)
    assert list(alone) == [(0, 3.0)]
