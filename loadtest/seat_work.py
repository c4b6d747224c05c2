"""What a cashier and a clerk have in common: an open schedule, several customers at once, asking again.

An arrival is never put off because an earlier one is still being served, up to a bound; at the bound it
waits, and its latency counts from when it should have begun. What the generator itself was late by is
recorded apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gevent
from gevent.pool import Group, Pool

from loadtest.arrivals import arrival_times
from loadtest.load_run import LoadRun
from loadtest.operations import Completion, Operation, Performer, repeat_delay_s
from loadtest.plan import Shape

LATE_S_MAX = 60.0


class SeatWork:
    """Runs one seat's schedule; `serve(n, due_s)` handles an arrival."""

    def __init__(
        self,
        run: LoadRun,
        performer: Performer,
        *,
        name: str,
        till: str,
        rate_per_s: float,
        again: bool,
        shape: Shape = (),
        visits: Sequence[float] = (),
    ) -> None:
        self.run_data = run
        self.performer = performer
        self.name = name
        self.till = till
        self._rate_per_s = rate_per_s
        self._again = again
        self._shape = shape
        self._visits = visits
        self._in_flight = Pool(run.plan.in_flight_max)
        self._later = Group()

    def follow_schedule(self, serve: Callable[[int, float], None]) -> None:
        """Serve arrivals until the schedule ends, then wait for what is still open, at most `grace_s`.

        What was due before the seat was taken is served late, as the generator's lateness; unless somebody
        had the seat before, or it is too long ago to be made up for. What waits because as many customers are in
        flight as may be is no lateness of the generator, nor is what it holds up.
        """
        plan = self.run_data.plan
        begin_s = self.run_data.begin_s()
        taken_s = time.monotonic()
        times = arrival_times(
            seed=plan.seed,
            stream=self.name,
            rate_per_s=self._rate_per_s,
            windows=[window for window in plan.windows if not window.who or self.till in window.who],
            shape=self._shape,
            visits=self._visits,
            until_s=plan.duration_s,
        )
        leave_s = begin_s + plan.duration_s if plan.leave_at_end and plan.duration_s is not None else math.inf
        let_go_s = -math.inf
        for n, at_s in times:
            due_s = begin_s + at_s
            if due_s < taken_s - (0.0 if self._again else LATE_S_MAX):
                continue
            self.sleep_until(due_s)
            if self._in_flight.full():
                self._in_flight.wait_available()
                let_go_s = time.monotonic()
                if let_go_s > leave_s:
                    break
            else:
                self._note_lateness(max(due_s, let_go_s))
            self._in_flight.spawn(serve, n, due_s).link_exception(self.run_data.note_broken)
        self.settle(plan.grace_s)

    def settle(self, grace_s: float) -> None:
        """Wait for customers in flight and for unknown outcomes, then stop asking."""
        until_s = time.monotonic() + grace_s
        self._in_flight.join(timeout=self.run_data.deadline_s + 1)
        self._later.join(timeout=max(0.0, until_s - time.monotonic()))
        self.stop()

    def stop(self) -> None:
        """End what is in flight now; the history then says that its outcome is unknown."""
        self._in_flight.kill()
        self._later.kill()

    def sleep_until(self, due_s: float) -> None:
        """Sleep until a moment of the monotonic clock; not at all if it is over."""
        wait_s = due_s - time.monotonic()
        if wait_s > 0:
            gevent.sleep(wait_s)

    def afterwards(self, work: Callable[..., None], *args: Any) -> None:
        """Do something beside the schedule, for as long as the seat is taken."""
        self._later.spawn(work, *args).link_exception(self.run_data.note_broken)

    def ask_until_answered(self, operation: Operation, then: Callable[[Completion], None]) -> None:
        """Send an operation of unknown outcome again until it is answered, then hand over the answer."""
        while operation.unknown:
            gevent.sleep(repeat_delay_s(operation.attempts))
            completion = self.performer.perform(operation, due_s=time.monotonic())
            if completion.outcome.type == "ok":
                then(completion)

    def repeat(self, operation: Operation, after_ms: int, edited: Mapping[str, Any] | None = None) -> None:
        """Send an ok operation once more after a while, perhaps with another content."""
        gevent.sleep(after_ms / 1000)
        self.performer.perform(operation, due_s=time.monotonic(), edited=edited)

    def _note_lateness(self, due_s: float) -> None:
        late_s = max(0.0, time.monotonic() - due_s)
        self.run_data.samples.add(
            second=int(time.time() - late_s), till=self.till, operation="", us=int(late_s * 1e6), type_="late"
        )
