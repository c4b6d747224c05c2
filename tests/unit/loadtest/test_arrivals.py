"""The open schedule."""

from __future__ import annotations

from itertools import islice

from loadtest.arrivals import arrival_times, factor_at
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
