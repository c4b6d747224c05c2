"""Two sides take their rounds in turn, and neither waits for one that is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice

import pytest

from rehearsal.gate.blocks import TURNS, processors
from tests.bench.gate import conftest as benchmarks
from tests.bench.gate.conftest import Turns

WAIT_S = 20


@contextmanager
def two_sides() -> Iterator[tuple[Turns, Turns, tuple[int, int, int, int]]]:
    """Yield the side that begins, the other, and the ends they hold: read and write of one, then of the other."""
    (mine, from_other), (theirs, from_one) = os.pipe(), os.pipe()
    ends = (mine, from_one, theirs, from_other)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TURNS, f"{mine},{from_one},1,-1")
        one = Turns()
        patch.setenv(TURNS, f"{theirs},{from_other},0,-1")
        other = Turns()
    try:
        yield one, other, ends
    finally:
        for end in ends:
            with suppress(OSError):
                os.close(end)


def play(turns: Turns, name: str, rounds: int, said: list[str]) -> None:
    """Take rounds, noting each at its beginning and its end."""
    with turns:
        for _ in range(rounds):
            turns()
            said.append(name)
            said.append(name.lower())


def play_both(one: Turns, other: Turns, rounds: tuple[int, int]) -> str:
    """Take rounds of both sides at once, as A and B, and return what they noted."""
    said: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        sides = zip((one, other), "AB", rounds, strict=True)
        for done in [pool.submit(play, turns, name, count, said) for turns, name, count in sides]:
            done.result(WAIT_S)
    return "".join(said)


def test_rounds_change_sides_one_then_two_each() -> None:
    """A drift falls on both alike, and no round of one overlaps a round of the other."""
    with two_sides() as (one, other, _):
        assert play_both(one, other, (5, 5)) == "AaBbBbAaAaBbBbAaAaBb"


def test_the_longer_side_goes_on_alone() -> None:
    """Where the benchmarks differ, the rounds that one side lacks are not waited for."""
    with two_sides() as (one, other, _):
        assert play_both(one, other, (2, 7)) == "AaBbBbAa" + "Bb" * 5


def test_the_next_figure_is_in_turn_again() -> None:
    """What one side says at the end of a figure is not taken for a turn of the next."""
    with two_sides() as (one, other, _):
        assert play_both(one, other, (3, 3)) == "AaBbBbAaAaBb"
        assert play_both(_again(one), _again(other), (3, 3)) == "AaBbBbAaAaBb"


def _again(turns: Turns) -> Turns:
    """Return what the same process makes for its next figure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TURNS, f"{turns.mine},{turns.theirs},{turns.begins},-1")
        return Turns()


def test_a_side_that_is_gone_is_not_waited_for() -> None:
    """A block that broke leaves the other to itself."""
    said: list[str] = []
    with two_sides() as (one, _, ends), ThreadPoolExecutor(1) as pool:
        os.close(ends[2])
        os.close(ends[3])
        pool.submit(play, one, "A", 4, said).result(WAIT_S)
    assert "".join(said) == "Aa" * 4


def test_both_sides_move_to_the_processor_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first round, so that both can be set up at once before."""
    moved: list[tuple[int, set[int]]] = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda process, to: moved.append((process, to)))
    monkeypatch.setenv(TURNS, "-1,-1,1,3")
    turns = Turns()
    assert not moved
    play(turns, "A", 3, [])
    assert moved == [(0, {3})]


def test_pairs_take_the_processors_in_turn() -> None:
    """Those that this process may use, one after the other."""
    ours = sorted(os.sched_getaffinity(0))
    assert list(islice(processors(), len(ours) + 1)) == [*ours, ours[0]]


def test_without_another_side_rounds_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks run by themselves as well."""
    monkeypatch.delenv(TURNS, raising=False)
    said: list[str] = []
    play(Turns(), "A", 3, said)
    assert said == ["A", "a"] * 3
    assert benchmarks.TURNS == TURNS
