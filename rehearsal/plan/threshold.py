"""Thresholds: rules such as `sale.p99 <= 250ms`, parsed and compared; the figures come from the judge.

Durations compare in milliseconds, shares as fractions, counts as numbers; `exact` belongs to checkers.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

# Figure → what it is measured in. The judge supplies them under these names, durations in ms.
FIGURES: dict[str, str] = {
    "sale.p50": "duration",
    "sale.p99": "duration",
    "sale.max": "duration",
    "sale.quiet.p99": "duration",  # outside fault windows
    "sale.window.p99": "duration",  # the worst ten seconds of the worst till
    "sale.refused": "share",
    "sale.repriced": "share",
    "sale.unknown": "share",
    "sync.lag.p99": "duration",  # a sale, from the till's commit to the server's
    "price.lag.p99": "duration",  # a price, from the clerk's commit to a till's row
    "masters.age.max": "duration",  # while online
    "failover.detect": "duration",  # from the old server's death to the operator's promotion
    "failover.promote": "duration",  # from there to the open term
    "failover.recovery": "duration",  # from the death to the first entry accepted in the new term
    "failover.recovery.all": "duration",  # and to the first of the last till
    "failover.refused": "share",  # of the sales asked for meanwhile
    "failover.p99_ratio": "count",  # sale p99 meanwhile, over that of the rest of the run
    "drain": "duration",
    "sales": "count",
    "edits": "count",
    "faults.bit": "count",
    "memory.peak": "mebibytes",  # the largest till
}
EXACT = ("receipts", "money", "settlement", "masters", "documents", "edits", "prices", "stock", "chain")
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
}
UNITS: dict[str, dict[str, float]] = {
    "duration": {"ms": 1.0, "s": 1000.0, "m": 60_000.0},
    "share": {"%": 0.01, "": 1.0},
    "count": {"": 1.0},
    "mebibytes": {"MiB": 1.0, "GiB": 1024.0},
}
_RULE = re.compile(r"\s*([a-z][a-z0-9_.]*)\s*(<=|>=|==|<|>)\s*(\S+)\s*")
_VALUE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)(%|[A-Za-z]*)")


class ThresholdInvalid(ValueError):
    """A rule that can't be read; the message says what is allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A rule. `limit` is None for `== exact`, else in the figure's base unit (ms, fraction, count, MiB)."""

    rule: str
    figure: str
    comparison: str
    limit: float | None

    def holds(self, measured: float) -> bool:
        """Say whether a measured figure (in its base unit) keeps the rule."""
        assert self.limit is not None
        return OPERATORS[self.comparison](measured, self.limit)


def parse_threshold(rule: str) -> Threshold:
    """Read a rule; raises ThresholdInvalid."""
    match = _RULE.fullmatch(rule)
    if match is None:
        raise ThresholdInvalid(f"not a rule: {rule!r}; write FIGURE OPERATOR VALUE, e.g. 'sale.p99 <= 250ms'")
    figure, comparison, value = match.groups()
    if value == "exact":
        if figure not in EXACT:
            raise ThresholdInvalid(f"{figure!r} can't be exact; that is for {', '.join(EXACT)}")
        if comparison != "==":
            raise ThresholdInvalid(f"exact needs ==, not {comparison}")
        return Threshold(rule=rule.strip(), figure=figure, comparison=comparison, limit=None)
    kind = FIGURES.get(figure)
    if kind is None:
        raise ThresholdInvalid(f"unknown figure {figure!r}; known are {', '.join(sorted(FIGURES))}")
    return Threshold(rule=rule.strip(), figure=figure, comparison=comparison, limit=_limit(value, kind))


def is_duration(threshold: Threshold) -> bool:
    """Say whether a rule is about how long something took."""
    return FIGURES.get(threshold.figure) == "duration"


def _limit(value: str, kind: str) -> float:
    match = _VALUE.fullmatch(value)
    units = UNITS[kind]
    if match is None or match[2] not in units:
        allowed = ", ".join(unit or "a bare number" for unit in units)
        raise ThresholdInvalid(f"{value!r} is not a {kind}; allowed: {allowed}")
    return float(match[1]) * units[match[2]]
