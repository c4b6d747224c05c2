"""The host's load as shares of its cores."""

from __future__ import annotations

from chaos.host import HostMeter, shares


def test_shares_are_of_the_time_between_two_readings() -> None:
    """Guests' time is within user's and not counted twice."""
    before = {"user": 10.0, "guest": 5.0, "idle": 10.0, "steal": 0.0}
    now = {"user": 13.0, "guest": 8.0, "idle": 10.5, "steal": 0.5}
    assert shares(before, now) == {"user": 0.75, "idle": 0.125, "steal": 0.125}


def test_two_readings_at_one_instant_give_no_shares() -> None:
    """Nothing was spent, and nothing is divided by zero."""
    assert set(shares({"user": 1.0}, {"user": 1.0}).values()) == {0.0}


def test_a_meter_measures_this_host() -> None:
    """Real figures, within their bounds."""
    meter = HostMeter()
    for _ in range(3):
        sample = meter.sample()
        assert 0 <= sample.busy <= 1
        assert 0 <= sample.steal <= 1
        assert 0 <= sample.iowait <= 1
        assert sample.memory_free_bytes > 0
