"""The shipped cores under simulated schedules: fixed seeds, fresh seeds, and each schedule that once failed."""

from __future__ import annotations

from pathlib import Path
from random import SystemRandom

import click
import pytest
from click.testing import CliRunner

from chaos.fleet.simulated import cli
from chaos.fleet.simulated.mutants import all_mutants, field_mutants
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


def simulate(*words: str) -> tuple[int, str]:
    """Run the command and return its exit code and output."""
    done = CliRunner().invoke(cli.simulate, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_a_replayed_schedule_that_convicts_is_10(tmp_path: Path) -> None:
    """With the bug that it was saved under; without it, the same schedule breaks nothing."""
    saved = tmp_path / "s2.json"
    assert simulate("--mutant", "S2", "--seed", "0", "--seeds", "50", "--jobs", "1", "--save", str(saved))[0] == 10
    code, text = simulate("--replay", str(saved), "--mutant", "S2")
    assert (code, "receipts: " in text) == (10, True)
    code, text = simulate("--replay", str(saved))
    assert (code, "no invariant was broken" in text) == (0, True)


def test_no_schedule_in_the_time_given_is_20() -> None:
    """What was not played shows nothing."""
    code, text = simulate("--minutes", "1e-12", "--jobs", "1")
    assert (code, "no schedule was played" in text, "no invariant" in text) == (20, True, False)


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "soon"])
@pytest.mark.parametrize("command", [cli.simulate, cli.explore])
def test_minutes_have_to_be_some(command: click.Command, minutes: str) -> None:
    """None would show nothing, and without a number there is no end."""
    done = CliRunner().invoke(command, ["--minutes", minutes])
    assert (done.exit_code, f"{minutes!r} is not a number of minutes" in done.output) == (2, True)


def test_a_mutant_has_to_be_known() -> None:
    """The choice is of the files, which are not imported for it."""
    assert set(cli.MUTANTS) == {mutant.id for mutant in (*all_mutants(), *field_mutants())}
    code, text = simulate("--mutant", "NOPE")
    assert (code, "'NOPE' is not one of" in text) == (2, True)


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff\xfe", b'{"seed": "x"}'])
def test_what_is_no_schedule_is_named(tmp_path: Path, text: bytes) -> None:
    """An empty file, another one, and one that is no text."""
    (tmp_path / "x.json").write_bytes(text)
    code, said = simulate("--replay", str(tmp_path / "x.json"))
    assert (code, "is no saved schedule" in said) == (2, True)


def test_a_folder_is_no_schedule(tmp_path: Path) -> None:
    """It is said before anything is read."""
    code, said = simulate("--replay", str(tmp_path))
    assert (code, "is a directory" in said) == (2, True)
