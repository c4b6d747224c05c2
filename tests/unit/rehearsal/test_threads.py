"""A thread of the lab that breaks, or hangs, is trouble of the run."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from chaos.waiting import wait_until
from loadtest.history import History
from rehearsal.catalogue import Cashier
from rehearsal.drive import copy_counter, operator
from rehearsal.drive.copy_counter import CopyCounter
from rehearsal.drive.flips import FlipRunner
from rehearsal.drive.operator import Operator
from rehearsal.drive.reigns import Reigns
from rehearsal.drive.samplers import Samplers
from rehearsal.drive.threads import LabThread
from rehearsal.plan.scenario import FleetPlan, FlipPlan, LoadPlan, Scenario
from rehearsal.staging.sides import LIVE, PREPRODUCTION


class Broken:
    """Stands for anything of a shop; whatever is called goes wrong as nobody foresaw."""

    sides = (LIVE, PREPRODUCTION)
    tills = ("T01",)

    def servers(self) -> tuple[str, ...]:
        """There are two."""
        return ("server", "preproduction")

    def __getattr__(self, name: str) -> Any:
        """Break at the call."""
        return self._broken

    def _broken(self, *_: Any, **__: Any) -> Any:
        raise IndexError("list index out of range")


BROKEN: Any = Broken()


def ended(thread: LabThread) -> LabThread:
    """Start a thread and wait for its end."""
    thread.start()
    thread.join(30)
    return thread


def test_what_a_thread_died_of_is_told() -> None:
    """With the kind of error, its words and its place."""
    (told,) = ended(LabThread(BROKEN.anything, name="samplers")).end(0)
    assert told.startswith("the lab's thread samplers broke: IndexError: list index out of range (test_threads.py")


def test_a_thread_that_ends_well_or_never_began_is_no_trouble() -> None:
    """Its work is done with what it was given."""
    done: list[int] = []
    assert ended(LabThread(done.append, 7, name="x")).end(0) == []
    assert done == [7]
    assert LabThread(done.append, 8, name="x").end(0) == []


def test_a_thread_that_hangs_is_told() -> None:
    """The run goes on without it."""
    let_go = threading.Event()
    thread = LabThread(let_go.wait, 30.0, name="flips")
    thread.start()
    assert thread.end(0.01) == ["the lab's thread flips did not come to its end"]
    let_go.set()
    assert thread.end(30) == []


def test_samples_that_stop_are_trouble() -> None:
    """Without them nobody knows of stale masters, of a backlog or of a saturated host."""
    samplers = Samplers(BROKEN, ("T01",), settled=lambda _: True, counters=dict)
    samplers.start()
    samplers._thread.join(30)
    (told,) = samplers.stop()
    assert "samplers broke: IndexError" in told
    assert samplers.stop() == [told]


def test_a_look_at_the_servers_that_stops_is_trouble() -> None:
    """Two live servers at once would not be seen."""
    reigns = Reigns(BROKEN)
    reigns.start()
    for thread in reigns._threads:
        thread.join(30)
    assert [told.split(": ")[0] for told in reigns.stop()] == [
        "the lab's thread reign of server broke", "the lab's thread reign of preproduction broke",
    ]  # fmt: skip


def test_an_operator_who_looks_no_more_is_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody would be promoted."""
    monkeypatch.setattr(operator, "LOOK_EVERY_S", 0.01)
    watching = Operator(BROKEN, Reigns(BROKEN), patience_s=1.0, say=lambda _: None)
    watching.armed = True
    watching.start()
    watching._thread.join(30)
    (told,) = watching.stop()
    assert "operator broke: IndexError" in told


def test_a_flip_that_breaks_is_trouble(tmp_path: Path) -> None:
    """Its prices were never announced."""
    scenario = Scenario(
        name="x", title="x", seed=1, claims=(), thresholds=(), load=LoadPlan(duration_s=10), stages=(),
        fleet=FleetPlan(tills=("T01",), profile="site-1g-1.80"),
        flips=(FlipPlan(at_s=5, announce_s=0, products=1, percent=10),),
    )  # fmt: skip
    flips = FlipRunner(scenario, shop=BROKEN, history=History(tmp_path, "d1"), say=lambda _: None)
    flips.start(time.monotonic(), 0)
    assert flips._thread is not None
    flips._thread.join(30)
    flips.stop()
    assert any("flips broke" in told for told in flips.trouble)


def test_a_copys_cashier_who_breaks_leaves_a_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The history has no end line, so that nobody takes it for whole."""
    monkeypatch.setattr(copy_counter, "EVERY_S", 0.01)
    monkeypatch.setattr(copy_counter, "cashier_session", lambda *_, **__: BROKEN)
    who = Cashier(cashier_id="1", name="A", pin="1234")
    counter = CopyCounter(tmp_path, url="http://127.0.0.1:9", till="T01", who=who, skus=["a"], seed=1)
    counter.start()
    assert wait_until(lambda: not counter._thread.is_alive(), 30.0, every_s=0.01)
    assert counter.stop() == 0
    (history,) = tmp_path.glob("history-*.jsonl")
    assert '"type":"invoke"' in history.read_text()
    assert '"type":"end"' not in history.read_text()
