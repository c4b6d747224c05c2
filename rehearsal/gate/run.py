"""A gate from its options to its outcome: counted tier, paired tier, the self-test."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rehearsal.gate.blocks import ROUNDS_MIN_P99, SLOW, Place, processors, run_pair
from rehearsal.gate.decide import Answer, Found, Rule
from rehearsal.gate.order import Pair, Side
from rehearsal.gate.paired import Decision, RunPair, conclude, decide
from rehearsal.gate.report import found_line
from rehearsal.gate.sides import base_places, own_place, same_benchmarks
from rehearsal.model import Outcome

PLANTED = 1.25
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How the paired tier runs: for how long, which figures (all if none is named), medians or p99."""

    budget_s: float
    only: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    p99: bool = False
    rule: Rule = field(default_factory=Rule)


def timed(root: Path, revision: str, timing: Timing, say: Say) -> Decision:
    """Compare the tree at hand with a revision. Raises NoBase, BlockFailed."""
    say(f"base {revision}: two worktrees, each with an environment of its own")
    with base_places(root, revision) as (base, again):
        if not same_benchmarks(root, base.root):
            say("note: the benchmarks themselves differ between base and head; each side runs its own")
        return _compared({Side.HEAD: own_place(root), Side.BASE: base, Side.AGAIN: again}, timing, say)


def selftest(root: Path, timing: Timing, figure: str, say: Say) -> tuple[Outcome, str, Decision]:
    """Make one figure of the same code slower by a quarter; GO when that is caught. Raises BlockFailed."""
    own = own_place(root)
    slow = replace(own, variables={SLOW: f"{figure}={PLANTED}"})
    say(f"self-test: {figure} lasts {PLANTED:g} times as long on one side")
    timing = replace(timing, only=timing.only or (figure,))
    decision = _compared({Side.HEAD: slow, Side.BASE: own, Side.AGAIN: own}, timing, say)
    return (*judged_selftest(decision, figure), decision)


def judged_selftest(decision: Decision, figure: str) -> tuple[Outcome, str]:
    """Return what a self-test shows: a gate that lets the planted slowness pass is broken."""
    answers = {found.name: found.answer for found in decision.found}
    answer = answers.get(figure)
    if answer is Answer.SLOWER:
        return Outcome.GO, f"the planted slowness of {figure} was caught after {decision.pairs} pairs"
    if answer is Answer.OPEN:
        return Outcome.INCONCLUSIVE, f"the planted slowness was neither caught nor passed: {decision.why}"
    return (
        Outcome.NO_GO,
        f"the planted slowness of {figure} passed as {answer or 'missing'}: distrust this gate",
    )


def _compared(places: Mapping[Side, Place], timing: Timing, say: Say) -> Decision:
    with _runner(places, timing) as run:
        names = run(Pair(first=Side.BASE, second=Side.HEAD))  # compiles, warms up, and names figures
        named, answered = sides_of(*names, timing.new)
        until = time.monotonic() + timing.budget_s
        decision = decide(
            run, figures=named, rule=timing.rule, time_left=lambda: time.monotonic() < until,
            progress=lambda pairs, found: _tell(pairs, found, say),
        )  # fmt: skip
    if not answered:
        return decision
    found = (*decision.found, *answered)
    outcome, why = conclude(found)
    return replace(decision, found=found, outcome=outcome, why=why)


def sides_of(
    base: Mapping[str, float], head: Mapping[str, float], new: Sequence[str]
) -> tuple[tuple[str, ...], tuple[Found, ...]]:
    """Return the figures to compare, and an answer for each that only one side has or that can't be measured."""
    answered, both = [], base.keys() & head.keys()
    for name in sorted(base.keys() ^ head.keys()):
        if name in new and name in head:
            answered.append(Found(name=name, answer=Answer.NEW, why="declared as new"))
            continue
        side, more = ("base", "") if name in base else ("head", f"; if it is new, say --new {name}")
        answered.append(Found(name=name, answer=Answer.MISSING, why=f"only the {side} has it{more}"))
    few = {name for name in both if math.isnan(base[name] + head[name])}
    why = f"a 99th percentile needs {ROUNDS_MIN_P99} rounds; time figures that have them, by --figure"
    answered += [Found(name=name, answer=Answer.OPEN, why=why) for name in sorted(few)]
    return tuple(sorted(both - few)), tuple(answered)


@contextmanager
def _runner(places: Mapping[Side, Place], timing: Timing) -> Iterator[RunPair]:
    turn = processors()
    with TemporaryDirectory(prefix="tillproof-blocks-") as name:
        yield lambda pair: run_pair(
            places[pair.first], places[pair.second], Path(name), processor=next(turn), only=timing.only,
            p99=timing.p99,
        )  # fmt: skip


def _tell(pairs: int, found: tuple[Found, ...], say: Say) -> None:
    say(f"after {pairs} pairs:")
    for one in found:
        say(found_line(one))
