"""The paired tier: blocks of both sides in turn until every figure is decided, or the budget is over.

The runner of a pair is handed in, so that the same code decides over real processes, recorded blocks and
simulated noise. Blocks answer one number per figure, smaller being better.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from rehearsal.gate.decide import Answer, Found, Rule, look
from rehearsal.gate.order import Pair, Side, units
from rehearsal.model import Outcome

Figures = Mapping[str, float]
RunPair = Callable[[Pair], tuple[Figures, Figures]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How a gate ended. `blocks` are all that ran, in their order; `out_of_time` names a budget that ended."""

    outcome: Outcome
    why: str
    found: tuple[Found, ...]
    pairs: int
    out_of_time: bool = False
    blocks: tuple[tuple[Side, Figures], ...] = ()


@dataclass(slots=True)
class _Book:
    """Log-ratios by figure: of head over base, and of the later base block over its neighbour's copy."""

    differences: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    control: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    blocks: list[tuple[Side, Figures]] = field(default_factory=list)
    pairs: int = 0

    def add(self, pair: Pair, first: Figures, second: Figures) -> None:
        """Note a pair's blocks; a figure that one of them lacks has no sample from it."""
        self.blocks += [(pair.first, first), (pair.second, second)]
        upper = Side.AGAIN if pair.control else Side.HEAD
        sides = {pair.first: first, pair.second: second}
        over, under = sides[upper], sides[Side.BASE]
        into = self.control if pair.control else self.differences
        for name in over.keys() & under.keys():
            if over[name] > 0 and under[name] > 0:
                into[name].append(math.log(over[name] / under[name]))
        self.pairs += not pair.control


def decide(
    run_pair: RunPair,
    *,
    figures: Iterable[str],
    rule: Rule,
    time_left: Callable[[], bool],
    progress: Callable[[int, tuple[Found, ...]], None] | None = None,
) -> Decision:
    """Run pairs, each answering for both of its blocks, and look after each of the rule's numbers of pairs."""
    names, book = tuple(figures), _Book()
    if not names:
        return Decision(outcome=Outcome.INCONCLUSIVE, why="there is no figure to compare", found=(), pairs=0)
    looks, found = iter(rule.looks), _nothing(names)
    due = next(looks)
    for unit in units():
        for pair in unit:
            if not time_left():
                return _ended(book, found, out_of_time=True)
            book.add(pair, *run_pair(pair))
        if book.pairs >= due:
            differences = {name: book.differences[name] for name in names}
            found = look(differences, book.control, rule)
            if progress is not None:
                progress(book.pairs, found)
            following = next(looks, None)
            if following is None or _settled(found):
                return _ended(book, found, out_of_time=False)
            due = following
    raise AssertionError("units never end")


def _nothing(names: tuple[str, ...]) -> tuple[Found, ...]:
    return tuple(Found(name=name, answer=Answer.OPEN, why="no look was reached") for name in names)


def _settled(found: tuple[Found, ...]) -> bool:
    return any(one.answer is Answer.SLOWER for one in found) or all(one.answer is Answer.OK for one in found)


def _ended(book: _Book, found: tuple[Found, ...], *, out_of_time: bool) -> Decision:
    outcome, why = conclude(found)
    if outcome is Outcome.INCONCLUSIVE and out_of_time:
        why += "; the budget ended"
    return Decision(
        outcome=outcome, why=why, found=found, pairs=book.pairs, out_of_time=out_of_time,
        blocks=tuple(book.blocks),
    )  # fmt: skip


def conclude(found: tuple[Found, ...]) -> tuple[Outcome, str]:
    """Return the outcome of all figures: the worst, and what it is about."""
    for answers, outcome in (
        ((Answer.SLOWER, Answer.MISSING), Outcome.NO_GO),
        ((Answer.OPEN,), Outcome.INCONCLUSIVE),
    ):
        named = [f"{one.name}: {one.why}" for one in found if one.answer in answers]
        if named:
            return outcome, "; ".join(named)
    compared = sum(one.answer is Answer.OK for one in found)
    new = f", {len(found) - compared} declared new" * (compared < len(found))
    if not compared:
        return Outcome.INCONCLUSIVE, f"there is no figure to compare{new}"
    return Outcome.GO, f"{compared} figure{'s are' if compared > 1 else ' is'} not slower{new}"
