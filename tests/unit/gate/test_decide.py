"""The decision over simulated noise: how often it is wrong, and that it sees what is there."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest

from rehearsal.gate.decide import Answer, Rule, control_holds, holm, look
from rehearsal.gate.order import Pair, Side, unit
from rehearsal.gate.paired import Decision, Figures, RunPair, decide
from rehearsal.model import Outcome

GATES = 2000
FIGURES = ("sale", "ingest", "cores")
Block = Callable[[Side], Figures]


def pairs_of(block: Block) -> RunPair:
    """Make pairs of blocks that follow each other."""

    def run(pair: Pair) -> tuple[Figures, Figures]:
        first = block(pair.first)
        return first, block(pair.second)

    return run


def noisy(seed: int, *, slower: float = 1.0, sigma: float = 0.08, again: float = 1.0) -> Block:
    """Blocks of a busy machine: log-normal noise, drift, and bursts in which everything is slower."""
    draw = random.Random(seed)  # noqa: S311 - simulated noise
    level = dict.fromkeys(FIGURES, 1.0)
    burst = 0

    def block(side: Side) -> Figures:
        nonlocal burst
        burst = burst - 1 if burst else (draw.randint(3, 12) if draw.random() < 0.02 else 0)
        factor = {Side.HEAD: slower, Side.BASE: 1.0, Side.AGAIN: again}[side] * (1.6 if burst else 1.0)
        found = {}
        for name in FIGURES:
            level[name] *= math.exp(draw.gauss(0, 0.01))
            own = (
                factor
                if name == "sale" or burst or side is Side.AGAIN
                else factor / (slower if side is Side.HEAD else 1.0)
            )
            found[name] = level[name] * own * math.exp(draw.gauss(0, sigma))
        return found

    return block


def gate(block: Block, rule: Rule | None = None, blocks_max: int = 10**6) -> Decision:
    """Run a gate; the budget is a number of asks."""
    left = itertools.count(blocks_max, -1)
    return decide(pairs_of(block), figures=FIGURES, rule=rule or Rule(), time_left=lambda: next(left) > 0)


@pytest.mark.long
def test_identical_code_fails_no_more_often_than_stated() -> None:
    """2,000 simulated gates of code against itself, three figures each: at most 1 % fail, 5 % being stated."""
    failed = sum(gate(noisy(seed)).outcome is Outcome.NO_GO for seed in range(GATES))
    assert failed <= GATES * 0.01


@pytest.mark.long
def test_code_that_is_slower_by_the_margin_fails_no_more_often_than_alpha() -> None:
    """The worst case of the promise: truly slower by exactly the margin, looked at three times."""
    rule = Rule(margin=0.10, alpha=0.05)
    gates = 600
    failed = sum(gate(noisy(seed, slower=1.10), rule).outcome is Outcome.NO_GO for seed in range(gates))
    passed = sum(gate(noisy(seed, slower=1.1001), rule).outcome is Outcome.GO for seed in range(gates, 2 * gates))
    assert failed <= gates * 0.075  # alpha, and nearly three standard errors of a count of 600 on top
    assert passed <= gates * 0.02  # a tenth of alpha is 0.5 %, and three standard errors on top


def test_a_quarter_slower_is_caught_or_left_open_and_never_passes() -> None:
    """+25 % on one of three figures, in 500 gates: caught in 95 of 100, passed in none."""
    outcomes = [gate(noisy(seed, slower=1.25)).outcome for seed in range(500)]
    assert outcomes.count(Outcome.NO_GO) >= 475
    assert outcomes.count(Outcome.GO) == 0


def test_a_base_that_differs_from_its_own_copy_decides_nothing() -> None:
    """A control that fails leaves the gate inconclusive, whatever the pairs say."""
    outcomes = {gate(noisy(seed, again=1.3)).outcome for seed in range(50)}
    slower = {gate(noisy(seed, slower=1.5, again=1.3)).outcome for seed in range(50)}
    assert outcomes == slower == {Outcome.INCONCLUSIVE}


def test_a_budget_that_ends_leaves_it_inconclusive() -> None:
    """Too little time for one look is not a pass, and says so."""
    decision = gate(noisy(1), blocks_max=8)
    assert (decision.outcome, decision.out_of_time) == (Outcome.INCONCLUSIVE, True)
    assert "the budget ended" in decision.why
    assert {found.answer for found in decision.found} == {Answer.OPEN}


def test_a_figure_without_samples_is_unknown() -> None:
    """A figure that no block gave is never passed."""
    other = pairs_of(lambda side: {"other": 1.0})
    decision = decide(other, figures=("sale",), rule=Rule(looks=(2,)), time_left=lambda: True)
    assert decision.outcome is Outcome.INCONCLUSIVE
    assert "sale: no samples" in decision.why


def test_without_figures_nothing_passes() -> None:
    """No benchmark at all is inconclusive."""
    decision = decide(lambda pair: ({}, {}), figures=(), rule=Rule(), time_left=lambda: True)
    assert decision.outcome is Outcome.INCONCLUSIVE


def test_holm_rejects_step_by_step() -> None:
    """The smallest p meets alpha / 3, the next alpha / 2, the last alpha; after a miss nothing more falls."""
    assert holm({"a": 0.01, "b": 0.02, "c": 0.04}, 0.05) == {"a", "b", "c"}
    assert holm({"a": 0.02, "b": 0.001, "c": 0.03}, 0.05) == {"a", "b", "c"}
    assert holm({"a": 0.02, "b": 0.03, "c": 0.04}, 0.05) == frozenset()
    assert holm({"a": 0.01, "b": 0.03, "c": 0.001}, 0.05) == {"a", "b", "c"}
    assert holm({"a": 0.01, "b": 0.06, "c": 0.001}, 0.05) == {"a", "c"}


def test_no_control_is_a_failed_control() -> None:
    """Without control pairs nothing is decided."""
    assert not control_holds([], Rule())
    found = look({"sale": [0.0] * 20}, {}, Rule())
    assert (found[0].answer, found[0].control_ok) == (Answer.OPEN, False)


def test_a_control_off_by_more_than_the_margin_fails_though_it_is_short() -> None:
    """Five control pairs can't be significant; a tenth off is too much all the same."""
    assert control_holds([0.02, -0.03, 0.05, 0.01, -0.04], Rule())
    assert not control_holds([0.2, 0.13, 0.15, 0.11, 0.14], Rule())


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_each_side_comes_first_as_often(number: int) -> None:
    """A unit holds one pair in each order; control pairs change their order from unit to unit."""
    base_first, head_first, control = unit(number)
    assert (base_first.first, head_first.first) == (Side.BASE, Side.HEAD)
    assert control.first is (Side.BASE if number % 2 == 0 else Side.AGAIN)
    assert control.control and not base_first.control and not head_first.control


def test_a_drift_of_the_machine_cancels_out() -> None:
    """A machine that slows down by 1 % with every block shows no difference between equal sides."""
    clock = itertools.count()
    decision = decide(
        pairs_of(lambda side: {"sale": 1.01 ** next(clock)}),
        figures=("sale",),
        rule=Rule(),
        time_left=lambda: True,
    )
    assert decision.found[0].ratio == pytest.approx(1.0, abs=0.001)
    assert decision.outcome is Outcome.GO
