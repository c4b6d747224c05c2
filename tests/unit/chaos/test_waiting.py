"""Waiting up to a deadline, by a clock that only sleeping moves."""

from __future__ import annotations

from collections.abc import Callable

from chaos.waiting import wait_until


class Clock:
    """A clock and its sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.looks = 0

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def holds_from(self, at: float) -> Callable[[], bool]:
        """Return a claim that holds from then on, and counts who looked."""

        def holds() -> bool:
            self.looks += 1
            return self.now >= at

        return holds

    def wait(self, holds: Callable[[], bool], within_s: float) -> bool:
        """Wait by this clock."""
        return wait_until(holds, within_s, every_s=0.5, now_s=lambda: self.now, sleep=self.sleep)


def test_what_holds_at_once_costs_no_time() -> None:
    """One look, no sleep, also without any time to wait."""
    clock = Clock()
    assert clock.wait(clock.holds_from(0), 0.0)
    assert (clock.looks, clock.now) == (1, 100.0)


def test_what_comes_to_hold_is_seen_at_the_next_look() -> None:
    """And not waited for any longer."""
    clock = Clock()
    assert clock.wait(clock.holds_from(101.2), 30.0)
    assert clock.now == 101.5


def test_what_holds_by_the_deadline_is_seen_although_the_last_sleep_ended_after_it() -> None:
    """The last look is made after the deadline, so a slow one is not a miss."""
    clock = Clock()
    assert clock.wait(clock.holds_from(100.7), 0.7)


def test_what_never_holds_ends_the_wait_with_a_no() -> None:
    """One look at the deadline or just after it is the last."""
    clock = Clock()
    assert not clock.wait(clock.holds_from(1e9), 2.0)
    assert clock.now == 102.0
    assert clock.looks == 5
