"""How many rehearsals the processors carry at once, by what they are doing.

Keeps: one start is over before the next, and a rehearsal joins others only where they leave room for it by their
size, and the processors have been idle enough for some seconds. A rehearsal of three tills takes half a processor
when it sells and two when it starts; the load just now says nothing of what others are about to start.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far processors are filled: seconds, `busy` a share from 0 to 1, `room` in tills for each processor.

    `watched_s`: the load is the mean of as long. `start_s`: nothing joins sooner after a start.
    """

    room: int = 20
    busy: float = 0.85
    watched_s: float = 5.0
    start_s: float = 8.0


class Room:
    """The room on `processors`: `note` what they do, tell it of each start, and ask it before the next."""

    def __init__(self, processors: int, limits: Limits = Limits()) -> None:
        self._processors, self._limits = processors, limits
        self._noted = deque[tuple[float, float]]()
        self._since_s = float("-inf")

    def note(self, at_s: float, busy_processors: float) -> None:
        """Note that so many processors were busy from the last note until now."""
        self._noted.append((at_s, busy_processors))
        while self._noted[0][0] <= at_s - self._limits.watched_s:
            self._noted.popleft()

    def started(self, at_s: float) -> None:
        """Note a start."""
        self._since_s = at_s
        self._noted.clear()

    def fits(self, at_s: float, taken: int, wanted: int) -> bool:
        """Say whether one of the size `wanted` fits beside those that have `taken` so much; the first does."""
        if not taken:
            return True
        if taken + wanted > self._limits.room * self._processors or at_s < self._since_s + self._limits.start_s:
            return False
        busy = [busy for _, busy in self._noted]
        return bool(busy) and sum(busy) / len(busy) < self._limits.busy * self._processors
