"""A planted slowness for the gate's self-test: TILLPROOF_GATE_SLOW="figure=1.25" makes that figure's work last so
many times as long, by the clock that the figure is timed with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

Clock = Callable[[], float]
Slowed = Callable[[Callable[..., Any]], Callable[..., Any]]


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
