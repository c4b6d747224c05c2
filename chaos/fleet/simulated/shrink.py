"""Finds a smaller schedule that still fails in the same way, by leaving actions out."""

from __future__ import annotations

import time
from dataclasses import replace

from chaos.fleet.simulated.plan import Plan
from chaos.fleet.simulated.run import Outcome, play


def shrink(outcome: Outcome, *, seconds: float = 20.0) -> Outcome:
    """Return the outcome of the smallest failing schedule found in the time given."""
    checker = outcome.checkers[0]
    until = time.monotonic() + seconds
    best = outcome
    best = _fewer_actions(best, checker, until)
    for tills in range(1, best.plan.tills):
        smaller = _fails(replace(best.plan, tills=tills), checker)
        if smaller is not None:
            best = _fewer_actions(smaller, checker, until)
            break
    return best


def _fails(plan: Plan, checker: str) -> Outcome | None:
    tried = play(plan)
    return tried if checker in tried.checkers else None


def _fewer_actions(best: Outcome, checker: str, until: float) -> Outcome:
    """Leave out ever smaller chunks of actions, as long as it fails."""
    size = max(1, len(best.plan.actions) // 2)
    while size:
        start = 0
        shorter = False
        while start < len(best.plan.actions) and time.monotonic() < until:
            dropped = set(range(start, min(start + size, len(best.plan.actions))))
            tried = _fails(best.plan.without(dropped), checker)
            if tried is None:
                start += size
            else:
                best, shorter = tried, True
        if not shorter or size > 1:
            size //= 2
        if time.monotonic() >= until:
            break
    return best
