"""The drain believes the databases only: quiet is quiet everywhere, and stuck is told apart from slow."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.model import Drain
from rehearsal.settle import drain as module
from rehearsal.settle.drain import drain, joined
from rehearsal.witness import ServerMark, TillMark, Witness

MARK = TillMark(
    till="T01",
    incarnation="aa", head=5, acked=5, cursor_n=1, cursor_pos=101, stock_seq=5, contact_ms=0, masters_ms=0,
    merging=False, day_open=True, alarm="", loaded=True,
)  # fmt: skip
SERVER = ServerMark(durable={("T01", "aa"): 5}, folded={("T01", "aa"): 5}, term_n=1, last_change=100)


class Told:
    """A witness that tells what it was given, one state after another; the last one stays."""

    def __init__(self, *states: tuple[TillMark | None, ServerMark]) -> None:
        self.states = list(states)

    def server(self) -> ServerMark:
        """Return the server's mark, and move on."""
        self.now = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return self.now[1]

    def till(self, name: str) -> TillMark:
        """Return the till's mark."""
        if self.now[0] is None:
            raise WitnessUnreadable(f"{name} is gone")
        return self.now[0]


def run(*states: tuple[TillMark | None, ServerMark], endings: tuple[str, ...] = ()) -> Drain:
    """Drain one till."""
    return drain(cast(Witness, Told(*states)), ("T01",), deadline_s=0.2, endings=lambda: list(endings))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll without sleeping long."""
    monkeypatch.setattr(module, "POLL_S", 0.01)


def test_equal_everywhere_is_quiet() -> None:
    """Nothing is pending, and it took no time to speak of."""
    found = run((MARK, SERVER))
    assert found.quiet
    assert found.pending == ()


@pytest.mark.parametrize(
    ("mark", "server", "said"),
    [
        (replace(MARK, head=7), SERVER, "2 entries are not on the server"),
        (replace(MARK, acked=4), SERVER, "does not know that its last 1 entries arrived"),
        (MARK, replace(SERVER, folded={}), "stock lacks its last 5 entries"),
        (replace(MARK, cursor_pos=100), SERVER, "masters stop at 100, the last change is 100"),
        (replace(MARK, cursor_n=0), SERVER, "masters stop at"),
        (replace(MARK, merging=True), SERVER, "still merging"),
        (replace(MARK, alarm="forked at 3"), SERVER, "forked at 3"),
        (replace(MARK, incarnation="bb"), SERVER, "5 entries are not on the server"),
        (None, SERVER, "can't be read"),
    ],
)
def test_anything_else_is_not(mark: TillMark | None, server: ServerMark, said: str) -> None:
    """What is not at rest is named."""
    found = run((mark, server))
    assert not found.quiet
    assert said in found.pending[0]


def test_a_process_that_ended_by_itself_is_never_quiet() -> None:
    """However equal the databases are."""
    assert not run((MARK, SERVER), endings=("T01 ended by itself with -9",)).quiet


def test_quiet_for_one_look_is_not_enough() -> None:
    """A till that writes again at once was between two batches."""
    busy = (replace(MARK, head=6), SERVER)
    found = run((MARK, SERVER), busy)
    assert not found.quiet


def test_two_drains_are_as_good_as_the_worse() -> None:
    """The first that failed counts; times add up."""
    good = Drain(quiet=True, took_s=1.5, deadline_s=60, progressed=True)
    bad = replace(good, quiet=False, pending=("x",))
    assert joined(bad, good) is bad
    assert joined(good, bad).pending == ("x",)
    assert joined(good, good).took_s == 3.0
