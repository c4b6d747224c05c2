"""What the gate's benchmarks share: rounds in turn with the other side, and a planted slowness.

TILLPROOF_GATE_SLOW="figure=1.25" makes that figure's work last so many times as long, by the clock that the figure
is timed with: for the self-test.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

TURNS = "TILLPROOF_GATE_TURNS"
Clock = Callable[[], float]
Slowed = Callable[[Callable[..., Any]], Callable[..., Any]]


class Turns:
    """Rounds in turn with the process of the other side: one, then two each, so that a drift falls on both alike.

    TILLPROOF_GATE_TURNS holds four numbers: the descriptor to read from, the one to write to, 1 for the side that
    begins, and the processor that both move to once they are set up, -1 for any. Without it, and as soon as the
    other side is gone, rounds follow each other.

    Keeps: of two sides that are both there only one is busy.
    """

    def __init__(self) -> None:
        numbers = os.environ.get(TURNS, "-1,-1,1,-1").split(",")
        self.mine, self.theirs, self.begins, self.processor = map(int, numbers)
        self._alone = self.mine < 0
        self._met = False
        self._left = 0

    def __call__(self) -> None:
        """Wait for this side's turn, before each round."""
        if not self._met:
            self._meet()
        elif not self._left:
            self._say(b"t")
            self._hear(b"t")
            self._left = 2
        self._left -= 1

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the rest to the other side and wait until it is done too."""
        self._say(b".")
        self._hear(b".")

    def _meet(self) -> None:
        """Wait until both sides are set up, and the one that does not begin for its turn."""
        self._met = True
        if self.processor >= 0:
            os.sched_setaffinity(0, {self.processor})
        self._left = 1 if self.begins else 2
        self._say(b"r")
        self._hear(b"r" if self.begins else b"t")

    def _say(self, word: bytes) -> None:
        """Say a word, also to a side that has ended the figure and waits for its end here."""
        if self.theirs >= 0:
            with suppress(BrokenPipeError):
                os.write(self.theirs, word)

    def _hear(self, word: bytes) -> None:
        """Read up to a word; the end of a figure, or of the process, on the other side leaves this one alone."""
        while not self._alone:
            heard = os.read(self.mine, 1)
            if heard == word:
                return
            self._alone = heard in {b"", b"."}


@pytest.fixture
def turns() -> Turns:
    """Return the turns of one figure."""
    return Turns()


@pytest.fixture
def slowed(request: pytest.FixtureRequest) -> Slowed:
    """Return what makes a call last longer, if this figure is to be slow."""
    figure, _, factor = os.environ.get("TILLPROOF_GATE_SLOW", "").partition("=")
    if request.node.name != f"test_{figure}":
        return lambda call: call
    mark = request.node.get_closest_marker("benchmark")
    clock: Clock = mark.kwargs.get("timer", time.perf_counter)
    return lambda call: stretched(call, float(factor), clock)


def stretched(call: Callable[..., Any], factor: float, clock: Clock) -> Callable[..., Any]:
    """Return a call that keeps busy until it has lasted `factor` times as long on a clock."""

    def run(*args: Any) -> Any:
        began = clock()
        done = call(*args)
        ended = clock()
        until = ended + (factor - 1) * (ended - began)
        while clock() < until:
            pass
        return done

    return run
