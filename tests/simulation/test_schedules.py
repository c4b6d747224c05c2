"""The shipped cores under simulated schedules: fixed seeds, fresh seeds, and each schedule that once failed."""

from __future__ import annotations

from pathlib import Path
from random import SystemRandom

import pytest
from click.testing import CliRunner

from chaos.fleet.simulated import cli
from chaos.fleet.simulated.plan import loads, plan
from chaos.fleet.simulated.run import play, play_seeds
from chaos.fleet.simulated.shrink import shrink

SCHEDULES = sorted((Path(__file__).parent / "schedules").glob("*.json"))
FIRST = 100_000


@pytest.mark.parametrize("first", [FIRST + 100 * part for part in range(4)])
def test_no_invariant_is_broken_by_fixed_seeds(first: int) -> None:
    """A hundred schedules in a piece, the same ones every time."""
    for outcome in play_seeds(first, 100, "everything"):
        assert not outcome.findings, f"seed {outcome.plan.seed}: {outcome.findings[:3]}"


def test_no_invariant_is_broken_by_fresh_seeds() -> None:
    """A hundred more that nobody has seen; the message says how to repeat one."""
    first = SystemRandom().randrange(1 << 31)
    print(f"tillproof simulate --seed {first} --seeds 100")
    for outcome in play_seeds(first, 100, "everything"):
        repeat = f"tillproof simulate --seed {outcome.plan.seed} --seeds 1 --jobs 1"
        assert not outcome.findings, f"{repeat}: {outcome.findings[:3]}"


@pytest.mark.parametrize("path", SCHEDULES, ids=lambda path: path.stem)
def test_a_schedule_that_once_failed_does_so_no_more(path: Path) -> None:
    """Each was shrunk when a bug of the cores or of their shells was found by it."""
    assert not play(loads(path.read_text())).findings


def test_one_seed_is_one_schedule() -> None:
    """Played twice, everything happens at the same time and in the same order."""
    twice = [play(plan(FIRST, "everything"), transcribe=True) for _ in range(2)]
    assert twice[0].transcript == twice[1].transcript
    assert len(twice[0].transcript) > 20
    assert twice[0].sales > 0


def test_a_saved_plan_is_the_plan() -> None:
    """JSON there and back."""
    made = plan(7, "everything")
    assert loads(made.dumps()) == made


def test_a_failing_schedule_shrinks_to_what_matters() -> None:
    """With sales that are stored twice, little more is left than a sale and its fault."""
    from chaos.fleet.simulated.mutants import planted

    with planted("S9") as profile:
        assert profile is not None
        outcome = next(o for o in play_seeds(0, 50, profile) if "receipts" in o.checkers)
        smallest = shrink(outcome, seconds=10)
        assert smallest.checkers[0] == outcome.checkers[0]
        assert len(smallest.plan.actions) <= 6
        assert len(smallest.plan.actions) < len(outcome.plan.actions)


def test_a_long_simulation_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an hour without a word would look like a hang."""
    monkeypatch.setattr(cli, "PROGRESS_S", 0)
    done = CliRunner().invoke(cli.simulate, ["--seeds", "40", "--seed", str(FIRST), "--jobs", "1"])
    assert done.exit_code == 0, done.output
    assert "20 of 40 schedules after" in done.stderr
    assert "40 of 40 schedules after" in done.stderr
