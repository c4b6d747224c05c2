"""A planted slowness for the gate's self-test: TILLPROOF_GATE_SLOW="figure=1.25" makes that figure's work last so
many times as long."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest

Slowed = Callable[[Callable[..., Any]], Callable[..., Any]]


@pytest.fixture
def slowed(request: pytest.FixtureRequest) -> Slowed:
    """Return what makes a call last longer, if this figure is to be slow."""
    figure, _, factor = os.environ.get("TILLPROOF_GATE_SLOW", "").partition("=")
    if request.node.name != f"test_{figure}":
        return lambda call: call
    more = float(factor) - 1

    def slower(call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            began = time.perf_counter()
            done = call(*args)
            ended = time.perf_counter()
            until = ended + more * (ended - began)
            while time.perf_counter() < until:
                pass
            return done

        return run

    return slower
