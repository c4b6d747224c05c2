"""The board shows the shop while it is there, and as it was last seen afterwards; it never stops a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from rehearsal.drive import faults as faults_module
from rehearsal.live.board import Board
from rehearsal.live.rows import _links
from tests.browser.played import Played, PlayedFault, playing

DEADLINE_S = 60


@pytest.fixture
def board() -> Iterator[Board]:
    """Yield a board with an open page."""
    made = Board()
    made.attached = 1
    yield made
    made.close()


@pytest.fixture
def played(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    """Yield a shop that sells on the board."""
    with playing(board, tmp_path, lambda make: monkeypatch.setattr(faults_module, "fault", make)) as made:
        yield made


def until(claim: Callable[[], bool]) -> None:
    """Wait for the board to show something."""
    end = time.monotonic() + DEADLINE_S
    while not claim():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_shop_that_is_gone_is_shown_as_it_was_last_seen(board: Board, played: Played) -> None:
    """Removed containers can't be asked any more; the run is told nothing of it and the rows stay."""
    until(lambda: [till.mode for till in board.state.tills] == ["online", "online"])
    until(lambda: [server.role for server in board.state.servers] == ["live", "standby"])
    board.phase("stopping")
    played.gone = True
    board.phase("judging")
    until(lambda: board.state.phase == "judging")
    assert [(till.name, till.state, till.mode) for till in board.state.tills] == [
        ("T01", "running", "online"), ("T02", "running", "online"),
    ]  # fmt: skip
    assert [server.role for server in board.state.servers] == ["live", "standby"]
    board.gave_up("could not run: no PostgreSQL")
    assert board.outcome is not None
    assert board.state.outcome == board.outcome


def test_an_engine_that_fails_amid_the_selling_is_shown_and_stops_nothing(board: Board, played: Played) -> None:
    """What can't be known is said to be unknown."""
    played.gone = True
    until(lambda: [till.state for till in board.state.tills] == ["unknown", "unknown"])


def test_what_a_pause_holds_back_stays_ahead_until_it_begins(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past its time it begins the moment the schedule goes on, or the link is free: until then it is to come."""
    board.control.pause()
    latency, cut = (0.0, "latency", ("T02",)), (0.1, "cut", ("T02",))
    replacing = partial(monkeypatch.setattr, faults_module, "fault")
    with playing(board, tmp_path, replacing, cut_at_s=0.1):
        until(lambda: (board.state.second or 0) > 0.1)
        assert (board.state.next_faults, board.state.faults) == ([latency, cut], [])
        board.control.resume()
        board.poke()
        until(lambda: len(board.state.faults) == 1 and len(board.state.next_faults) == 1)
        assert {board.state.faults[0].kind, board.state.next_faults[0][1]} == {"latency", "cut"}


def test_a_fault_that_can_not_be_run_is_not_ahead(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this fleet can't do does not begin later."""
    monkeypatch.setattr(PlayedFault, "obstacle", lambda *_: "no such machine")
    with playing(board, tmp_path, partial(monkeypatch.setattr, faults_module, "fault")):
        until(lambda: board.state.next_faults == [(590.0, "cut", ("T02",))])
    board.phase("healing")
    until(lambda: board.state.phase == "healing")
    assert board.state.next_faults == []


def test_links_that_are_alike_are_one_word() -> None:
    """With a standby a till has two links; only when they differ is it said which is which."""

    def link(server: str, *, enabled: bool, toxic: str = "") -> SimpleNamespace:
        toxics = [SimpleNamespace(type=toxic)] if toxic else []
        return SimpleNamespace(server=server, state=lambda: SimpleNamespace(enabled=enabled, toxics=toxics))

    cut, slow = link("server", enabled=False), link("preproduction", enabled=True, toxic="latency")
    assert _links([]) == ""
    assert _links([cut]) == "cut"
    assert _links([cut, link("preproduction", enabled=False)]) == "cut"
    assert _links([cut, slow]) == "server cut, preproduction latency"
