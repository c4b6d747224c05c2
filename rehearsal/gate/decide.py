"""What pairs of blocks say of a figure: slower, not slower, or not known yet.

Keeps: a change that makes nothing slower than the margin fails with a probability of at most `alpha`, over
all figures (Holm) and all looks (alpha is split among them); a change that does so passes with a probability of
at most a tenth of that, since nobody looks at what passed.
A figure whose control, the base against itself, differs is not known, whatever its pairs say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rehearsal.gate.wilcoxon import bounds, centre, p_greater, p_smaller

LOOKS = (10, 20, 40)
CONTROL_ALPHA = 0.02
PASS_SHARE = 0.1


class Answer(StrEnum):
    """What is said of a figure."""

    SLOWER = "slower"
    OK = "not slower"
    OPEN = "not known"
    MISSING = "missing"
    NEW = "new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a gate decides. `margin` is a share: 0.10 lets a tenth pass. `looks` are numbers of pairs."""

    margin: float = 0.10
    alpha: float = 0.05
    looks: tuple[int, ...] = LOOKS

    @property
    def alpha_look(self) -> float:
        """The error allowed at one look."""
        return self.alpha / len(self.looks)

    @property
    def alpha_pass(self) -> float:
        """The error allowed at one look in letting a slower figure pass."""
        return PASS_SHARE * self.alpha_look

    @property
    def limit(self) -> float:
        """The margin as a log-ratio."""
        return math.log1p(self.margin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A figure at a look. Ratios are head / base, `low` and `high` bound the true one; empty data: nan."""

    name: str
    answer: Answer
    pairs: int = 0
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p_slower: float = 1.0
    control_ratio: float = math.nan
    control_ok: bool = True
    why: str = ""


def look(
    differences: Mapping[str, Sequence[float]], control: Mapping[str, Sequence[float]], rule: Rule
) -> tuple[Found, ...]:
    """Return what log-ratios of pairs (head over base) and of the control's pairs say now."""
    p_slower = {name: p_greater(values, than=rule.limit) for name, values in differences.items()}
    rejected = holm(p_slower, rule.alpha_look)
    return tuple(
        _found(name, values, control.get(name, ()), rule, p_slower=p_slower[name], slower=name in rejected)
        for name, values in differences.items()
    )


def holm(p_values: Mapping[str, float], alpha: float) -> frozenset[str]:
    """Return the names whose hypothesis falls, with at most `alpha` of a false one among all of them."""
    rejected: set[str] = set()
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        if p > alpha / (len(p_values) - place):
            break
        rejected.add(name)
    return frozenset(rejected)


def control_holds(differences: Sequence[float], rule: Rule) -> bool:
    """Tell whether the base compared with itself looks like itself."""
    if not differences:
        return False
    if abs(centre(differences)) > rule.limit:
        return False
    return 2 * min(p_greater(differences), p_smaller(differences)) > CONTROL_ALPHA


def _found(
    name: str, values: Sequence[float], control: Sequence[float], rule: Rule, *, p_slower: float, slower: bool
) -> Found:
    if not values:
        return Found(name=name, answer=Answer.OPEN, why="no samples")
    low, high = bounds(values, alpha=rule.alpha_look)
    holds = control_holds(control, rule)
    answer, why = Answer.OPEN, f"the interval holds the margin of {rule.margin:.0%}"
    if not holds:
        why = "the control failed: the base differs from itself" if control else "the control has no samples"
    elif slower:
        answer, why = Answer.SLOWER, f"slower by more than {rule.margin:.0%}"
    elif p_smaller(values, than=rule.limit) <= rule.alpha_pass:
        answer, why = Answer.OK, f"not slower by {rule.margin:.0%}"
    return Found(
        name=name, answer=answer, pairs=len(values), ratio=math.exp(centre(values)), low=math.exp(low),
        high=math.exp(high), p_slower=p_slower, control_ok=holds,
        control_ratio=math.exp(centre(control)) if control else math.nan, why=why,
    )  # fmt: skip
