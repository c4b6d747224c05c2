"""The rate at which a threshold breaks on a ramp, and how sure that is.

A threshold breaks where it is missed in two stretches in a row; one bad stretch is a hiccup, unless hardly anybody
was served after it: a till that hangs keeps all who come later waiting, and they are in no stretch. Capacity is
what was done per second in the last stretch before, not what was asked for after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rehearsal.plan.threshold import Threshold
from rehearsal.suite.windows import Stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a ramp found. `per_s` is of all tills together; `broke` None: nothing broke, it is at least that.

    most_per_s  the most that was ever done in a stretch
    from_s      where the stretches begin in which the rule broke
    """

    of: str
    per_s: float
    per_till_s: float
    most_per_s: float
    broke: str | None
    measured: float | None
    from_s: float | None
    ran_out: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The capacity as people read it."""
        rate = f"{self.per_till_s:.1f} receipts/s per till"
        if self.of == "server":
            rate = f"{self.per_s:.1f} receipts/s at the server ({self.per_till_s:.1f} per till)"
        if self.broke is None:
            return f"at least {rate}: no threshold broke up to there"
        if self.per_s == 0:
            return f"below the ramp's begin: {self.broke} broke at once"
        return f"{rate}, then {self.broke} broke"


def capacity(found: Sequence[Stretch], rules: Sequence[Threshold], *, of: str, tills: int) -> Capacity | None:
    """Return what the stretches of a ramp say; None when there are too few receipts to say anything."""
    judged = [stretch for stretch in found if stretch.judged]
    if len(judged) < 2:
        return None
    at = _breaks(judged, rules, rest=found[found.index(judged[-1]) + 1 :])
    before = judged if at is None else judged[:at]
    per_s = max((stretch.done_per_s for stretch in before), default=0.0) if at is None else _last(before)
    broke = measured = from_s = None
    if at is not None:
        rule = next(rule for rule in rules if _all_miss(judged[at : at + 2], rule))
        broke, measured, from_s = rule.rule, judged[at].figures[rule.figure], judged[at].from_s
    return Capacity(
        of=of, per_s=per_s, per_till_s=per_s / max(1, tills), broke=broke, measured=measured, from_s=from_s,
        most_per_s=max(stretch.done_per_s for stretch in judged),
    )  # fmt: skip


def _last(before: Sequence[Stretch]) -> float:
    return before[-1].done_per_s if before else 0.0


def _breaks(judged: Sequence[Stretch], rules: Sequence[Threshold], rest: Sequence[Stretch]) -> int | None:
    """Return the first of two stretches in a row in which one rule is missed; of one where `rest` stands still."""
    last = len(judged) - 1
    still = bool(rest) and all(2 * stretch.sales < judged[last].sales for stretch in rest)
    for at in range(last + still):
        if any(_all_miss(judged[at : at + 2], rule) for rule in rules):
            return at
    return None


def _all_miss(some: Sequence[Stretch], rule: Threshold) -> bool:
    return all(_missed(stretch, rule) for stretch in some)


def _missed(stretch: Stretch, rule: Threshold) -> bool:
    value = stretch.figures.get(rule.figure)
    return value is not None and not rule.holds(value)
