"""Blocks' files, one-sided figures, the self-test's answer, and the command line's refusals."""

from __future__ import annotations

import re
import subprocess
from math import nan
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from rehearsal.cli import tillproof
from rehearsal.gate.blocks import BENCHMARKS, BlockFailed, Place, figures, run_pair
from rehearsal.gate.decide import Answer, Found
from rehearsal.gate.paired import Decision, conclude
from rehearsal.gate.run import judged_selftest, sides_of
from rehearsal.gate.sides import NoBase, base_places, resolve
from rehearsal.model import Outcome


def block_file(path: Path, **rounds: list[float]) -> Path:
    """Write what pytest-benchmark writes, as far as it is read."""
    listed = [{"name": f"test_{name}", "stats": {"data": data}} for name, data in rounds.items()]
    path.write_bytes(msgspec.json.encode({"benchmarks": listed}))
    return path


def test_a_block_gives_one_number_per_figure(tmp_path: Path) -> None:
    """The median of its rounds; the 99th percentile only where there are rounds enough for one."""
    path = block_file(tmp_path / "b.json", sale=[0.001 * n for n in range(1, 201)], ingest=[3.0, 1.0, 2.0], no=[])
    assert figures(path) == {"sale": pytest.approx(0.101), "ingest": 2.0}
    assert figures(path, p99=True) == {"sale": pytest.approx(0.199), "ingest": pytest.approx(nan, nan_ok=True)}


def test_a_block_without_a_file_has_failed(tmp_path: Path) -> None:
    """No file, or another one, is an error and no empty result."""
    with pytest.raises(BlockFailed, match="no benchmarks"):
        figures(tmp_path / "absent.json")


def test_a_block_that_breaks_says_what_it_printed(tmp_path: Path) -> None:
    """The end of its output is in the message."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'the till burns'; exit 3\n")
    python.chmod(0o755)
    with pytest.raises(BlockFailed, match="ended with 3:\nthe till burns"):
        run_pair(Place(root=tmp_path, python=python), Place(root=tmp_path, python=python), tmp_path)


def test_both_sides_find_their_modules_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the figures, even where the environment forbids it: a fresh worktree would compile at every block."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "in $PYTHONPYCACHEPREFIX, not [$PYTHONDONTWRITEBYTECODE]"; exit 3\n')
    python.chmod(0o755)
    with pytest.raises(BlockFailed, match=re.escape(f"in {tmp_path / 'compiled'}, not []")):
        run_pair(Place(root=tmp_path, python=python), Place(root=tmp_path, python=python), tmp_path)


def test_a_figure_that_one_side_lacks_fails_unless_it_is_declared_new() -> None:
    """A renamed benchmark passes nowhere."""
    both, one_sided = sides_of({"sale": 1.0, "old": 1.0}, {"sale": 1.0, "fresh": 1.0, "other": 1.0}, ["fresh"])
    assert both == ("sale",)
    assert {found.name: found.answer for found in one_sided} == {
        "old": Answer.MISSING, "other": Answer.MISSING, "fresh": Answer.NEW,
    }  # fmt: skip
    assert conclude(one_sided)[0] is Outcome.NO_GO
    assert sides_of({"old": 1.0}, {}, ["old"])[1][0].answer is Answer.MISSING


def test_a_figure_with_too_few_rounds_for_a_percentile_is_not_known() -> None:
    """Nobody measured it: the gate is not GO because the others are fine."""
    both, answered = sides_of({"sale": 1.0, "ingest": nan}, {"sale": 1.0, "ingest": nan}, [])
    assert both == ("sale",)
    outcome, why = conclude((Found(name="sale", answer=Answer.OK), *answered))
    assert outcome is Outcome.INCONCLUSIVE
    assert why.startswith("ingest: a 99th percentile needs 100 rounds")


def test_the_worst_figure_decides() -> None:
    """One slower figure is NO-GO though others are open or fine; one open one is INCONCLUSIVE."""
    fine, open_ = Found(name="a", answer=Answer.OK), Found(name="b", answer=Answer.OPEN, why="few")
    slow = Found(name="c", answer=Answer.SLOWER, why="slower")
    assert conclude((fine, open_, slow)) == (Outcome.NO_GO, "c: slower")
    assert conclude((fine, open_))[0] is Outcome.INCONCLUSIVE
    assert conclude((fine,)) == (Outcome.GO, "1 figure is not slower")
    assert conclude(())[0] is Outcome.INCONCLUSIVE


def test_what_is_declared_new_was_compared_with_nothing() -> None:
    """It does not count among those that are not slower, and alone it is no GO."""
    fine, new = Found(name="a", answer=Answer.OK), Found(name="b", answer=Answer.NEW, why="declared as new")
    assert conclude((fine, new)) == (Outcome.GO, "1 figure is not slower, 1 declared new")
    assert conclude((new,)) == (Outcome.INCONCLUSIVE, "there is no figure to compare, 1 declared new")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Answer.SLOWER, Outcome.GO),
        (Answer.OPEN, Outcome.INCONCLUSIVE),
        (Answer.OK, Outcome.NO_GO),
        (Answer.MISSING, Outcome.NO_GO),
    ],
)
def test_a_selftest_passes_only_when_the_slowness_was_caught(answer: Answer, outcome: Outcome) -> None:
    """Passed is broken; open is inconclusive."""
    found = (Found(name="sale", answer=answer),)
    decision = Decision(outcome=Outcome.GO, why="", found=found, pairs=10)
    assert judged_selftest(decision, "sale")[0] is outcome
    assert judged_selftest(decision, "another")[0] is Outcome.NO_GO


def repository(folder: Path) -> Path:
    """Make a repository with one commit."""
    for words in (
        ("init", "--quiet"),
        ("-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "--allow-empty", "-m", "x"),
    ):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def test_a_base_without_the_gates_benchmarks_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """The worktrees are gone afterwards."""
    root = repository(tmp_path)
    with pytest.raises(NoBase, match="older than the gate"), base_places(root, "HEAD"):
        pytest.fail("there is nothing to compare with")
    listed = subprocess.run(
        ["git", "-C", str(root), "worktree", "list"], check=True, capture_output=True, text=True
    )
    assert len(listed.stdout.splitlines()) == 1


def test_a_base_whose_benchmarks_take_no_turns_is_refused(tmp_path: Path) -> None:
    """Its rounds would run beside head's start, and head's beside nothing: head would look faster than it is."""
    root = repository(tmp_path)
    (root / BENCHMARKS.parent).mkdir(parents=True)
    for name in (BENCHMARKS.name, "conftest.py"):
        (root / BENCHMARKS.with_name(name)).write_text("rounds = 1\n")
    named = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    for words in (("add", "."), (*named, "commit", "--quiet", "-m", "y")):
        subprocess.run(["git", "-C", str(root), *words], check=True)
    with pytest.raises(NoBase, match="take no turns"), base_places(root, "HEAD"):
        pytest.fail("the two can't be compared")


@pytest.mark.parametrize("revision", ["no-such-branch", "--upload-pack=x"])
def test_a_revision_that_is_none_is_named(tmp_path: Path, revision: str) -> None:
    """Also one that looks like an option."""
    with pytest.raises(NoBase, match="is no revision"):
        resolve(repository(tmp_path), revision)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--update", "--base", "HEAD"], "--update goes alone"),
        (["--selftest", "--base", "HEAD"], "leave --base out"),
        (["--budget", "soon"], "'soon' is no time"),
        (["--on-inconclusive", "pass"], "'warn', 'fail'"),
        (["--p99"], "add --base"),
        (["--selftest", "--margin", "25"], "a --margin of 25 lets that pass"),
        (["--figure", "till_durable_sale"], "add --base"),
        (["--base", "HEAD", "--figure", "server_durable_ingst"], "did you mean 'server_durable_ingest'"),
        (["--base", "HEAD", "--figure", "sale"], "no figure 'sale'; there are till_durable_sale, "),
    ],
)
def test_wrong_usage_is_refused(arguments: list[str], said: str) -> None:
    """With click's code for it, and the allowed values."""
    done = CliRunner().invoke(tillproof, ["gate", *arguments])
    assert done.exit_code == 2
    assert said in done.output


def test_a_folder_that_cant_be_made_is_told_before_anything_is_counted(tmp_path: Path) -> None:
    """By a line that names it, and no traceback after the work."""
    (tmp_path / "file").touch()
    done = CliRunner().invoke(tillproof, ["gate", "--out", str(tmp_path / "file" / "gate")])
    assert done.exit_code == 2
    assert "file/gate can't be made: Not a directory" in " ".join(done.output.split())
    assert "counted" not in done.output
