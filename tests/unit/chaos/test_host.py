"""The host's load as shares of its cores."""

from __future__ import annotations

from chaos.host import HostSample, HostSampler, shares, summary


def one(at_s: float, busy: float, steal: float = 0.0) -> HostSample:
    """Return a sample."""
    return HostSample(
        at_s=at_s, busy=busy, steal=steal, iowait=0.1, load=2.0, waiting=None, memory_free_bytes=int(100 - at_s)
    )


def test_shares_are_of_the_time_between_two_readings() -> None:
    """Guests' time is within user's and not counted twice."""
    before = {"user": 10.0, "guest": 5.0, "idle": 10.0, "steal": 0.0}
    now = {"user": 13.0, "guest": 8.0, "idle": 10.5, "steal": 0.5}
    assert shares(before, now) == {"user": 0.75, "idle": 0.125, "steal": 0.125}


def test_a_summary_has_the_worst_of_each_and_the_share_of_saturated_intervals() -> None:
    """Stolen time saturates like our own."""
    found = summary([one(1, 0.5), one(2, 0.99), one(3, 0.6, steal=0.4), one(4, 0.1)])
    assert found is not None
    assert (found.samples, found.busy_max, found.steal_max, found.saturated_share) == (4, 0.99, 0.4, 0.5)
    assert (found.waiting_max, found.memory_free_least_bytes) == (None, 96)


def test_a_span_without_samples_has_no_summary() -> None:
    """Nothing is not zero."""
    sampler = HostSampler()
    sampler.samples.append(one(5, 0.5))
    assert sampler.summary(0, 4) is None
    assert sampler.summary(5, 5) is not None


def test_the_sampler_samples_this_host() -> None:
    """Real figures, within their bounds."""
    sampler = HostSampler(0.02).start()
    while not sampler.samples:
        pass
    for sample in sampler.stop():
        assert 0 <= sample.busy <= 1
        assert 0 <= sample.steal <= 1
        assert sample.memory_free_bytes > 0
