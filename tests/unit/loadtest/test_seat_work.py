"""Whose lateness it is when a customer is served after the intended moment: the generator's or the till's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loadtest import seat_work
from loadtest.seat_work import SeatWork

ARRIVALS = 12
GAP_S = 0.1
SERVICE_S = 1.0


@dataclass
class World:
    """A clock, a till that serves two customers at once, each for a second, and the lateness noted."""

    now_s: float = 0.0
    open: int = 0
    oversleeps_s: float = 0.0
    late_us: list[int] = field(default_factory=list)

    def monotonic(self) -> float:
        """The clock."""
        return self.now_s

    time = monotonic

    def begin_s(self) -> float:
        """The schedule's beginning."""
        return 0.0

    def full(self) -> bool:
        """Whether both are being served."""
        return self.open == 2

    def wait_available(self) -> None:
        """Both end at one moment."""
        self.now_s += SERVICE_S
        self.open = 0

    def spawn(self, *_: Any) -> Any:
        """Begin to serve."""
        self.open += 1
        return SimpleNamespace(link_exception=lambda _: None)

    def sleep_until(self, due_s: float) -> None:
        """Sleep, and perhaps too long."""
        if due_s > self.now_s:
            self.now_s = due_s + self.oversleeps_s

    def add(self, *, us: int, **_: Any) -> None:
        """Note a lateness."""
        self.late_us.append(us)


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Callable[[World], list[int]]:
    """Return what follows a schedule of one customer every 100 ms in a world, and returns the lateness noted."""

    def run(world: World) -> list[int]:
        monkeypatch.setattr(seat_work, "time", world)
        monkeypatch.setattr(seat_work, "arrival_times", lambda **_: [(n, n * GAP_S) for n in range(ARRIVALS)])
        plan = SimpleNamespace(
            seed=1, windows=[], duration_s=None, leave_at_end=False, grace_s=0.0, in_flight_max=2
        )
        data = SimpleNamespace(plan=plan, samples=world, begin_s=world.begin_s, note_broken=None)
        seat = SeatWork(cast("Any", data), cast("Any", None), name="c0", till="T01", rate_per_s=1, again=False)
        fake = cast("Any", seat)
        fake._in_flight, fake.sleep_until, fake.settle = world, world.sleep_until, lambda _: None
        seat.follow_schedule(lambda _n, _due_s: None)
        return world.late_us

    return run


def test_what_a_busy_till_holds_up_is_no_lateness_of_the_generator(follow: Callable[[World], list[int]]) -> None:
    """The last customer is served five seconds late, and the generator was ready for each."""
    world = World()
    assert max(follow(world)) == 0
    assert world.now_s > 4


def test_a_generator_that_oversleeps_is_late(follow: Callable[[World], list[int]]) -> None:
    """Its own delay counts, whatever the till does."""
    assert max(follow(World(oversleeps_s=0.3))) == 300_000
