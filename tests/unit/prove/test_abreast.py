"""Rehearsals side by side: how many at once, who runs alone, what is asked again, and what an interrupt ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos.waiting import wait_until
from rehearsal.prove.abreast import Job, abreast
from rehearsal.prove.room import Limits, Room
from rehearsal.prove.row import Caught, Result, Row

DEADLINE_S = 120.0
ALWAYS = Limits(room=15, busy=2.0, start_s=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """Stands for a rehearsal: waits for `with_`, and notes who else is at work.

    `says`: its results, the first time and when asked again.
    """

    row: Row
    says: tuple[Caught, ...] = (Caught.GO,)
    late: bool = False
    with_: tuple[str, ...] = ()

    def run(self, reports: Path) -> Result:
        """Wait for the others, and note them."""
        began_s = time.monotonic()
        there = reports.parent / "there"
        there.mkdir(parents=True, exist_ok=True)
        mine = there / self.row.id
        mine.touch()
        wait_until(lambda: all((there / name).exists() for name in self.with_), DEADLINE_S, every_s=0.01)
        beside = sorted(path.name for path in there.iterdir() if path != mine)
        if not self.with_:  # whoever waits for others keeps its mark: they wait for it
            mine.unlink()
        caught = self.says[-1 if reports.name.endswith("-again") else 0]
        ran = f"{began_s} {time.monotonic()}"
        return Result(row=self.row, caught=caught, late=self.late, note=" ".join(beside), ran=ran)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dying:
    """Stands for a rehearsal whose process is killed."""

    row: Row

    def run(self, reports: Path) -> Result:
        """Die."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError(reports)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endless:
    """Stands for a rehearsal that ends only by Ctrl-C, and reports then."""

    row: Row

    def run(self, reports: Path) -> Result:
        """Wait for it."""
        reports.mkdir(parents=True)
        (reports / "began").touch()
        try:
            time.sleep(DEADLINE_S)  # what is tried is that the interrupt ends it
        except KeyboardInterrupt:
            (reports / "healed").touch()
            raise
        raise AssertionError("nobody interrupted it")


def row(name: str) -> Row:
    """Return a row."""
    return Row(id=name, title="", fault="", expected="drain")


def of(name: str, *, room: int = 7, lasts_s: float = 0.0, alone: bool = False,
       says: Sequence[Caught] = (Caught.GO,), late: bool = False, with_: tuple[str, ...] = ()) -> Job:  # fmt: skip
    """Return a job that notes."""
    work = Noted(row=row(name), says=tuple(says), late=late, with_=with_)
    return Job(name=name, work=work, room=room, lasts_s=lasts_s, alone=alone)


def results(jobs: list[Job], folder: Path) -> dict[str, Result]:
    """Run jobs in a room of 15, whatever else the processors do, and return what came of each."""
    return {job.name: result for job, result in abreast(jobs, folder, room=Room(1, ALWAYS))}


def test_what_fits_runs_together_and_no_more(tmp_path: Path) -> None:
    """Two of half the room see each other, and never is more of it taken than there is."""
    rooms = {"A": 8, "B": 7, "C": 3, "D": 6, "E": 16}
    with_ = {"A": ("B",), "B": ("A",)}
    found = results([of(name, room=room, with_=with_.get(name, ())) for name, room in rooms.items()], tmp_path)
    assert "B" in found["A"].note
    assert "A" in found["B"].note
    spans = {name: tuple(map(float, result.ran.split())) for name, result in found.items()}
    for name, (began, _) in spans.items():
        at_once = [other for other, (first, last) in spans.items() if first <= began <= last]
        assert name in at_once
        assert len(at_once) == 1 or sum(rooms[other] for other in at_once) <= ALWAYS.room


def test_the_longest_begins_first(tmp_path: Path) -> None:
    """A long one that begins last leaves processors idle."""
    jobs = [of(name, room=15, lasts_s=lasts_s) for name, lasts_s in (("A", 1), ("B", 3), ("C", 2))]
    found = results(jobs, tmp_path)
    assert sorted(found, key=lambda name: float(found[name].ran.split()[0])) == ["B", "C", "A"]


def test_what_is_judged_by_durations_runs_beside_nothing_but_its_like(tmp_path: Path) -> None:
    """Whatever would fit beside it; two that are alone wait for each other here."""
    jobs = [of("A"), of("B", alone=True, with_=("D",)), of("C"), of("D", alone=True, with_=("B",))]
    found = results(jobs, tmp_path)
    assert (found["B"].note, found["D"].note) == ("D", "B")


def test_what_is_asked_again_runs_beside_nothing_at_all(tmp_path: Path) -> None:
    """Not even beside another that is asked again, or one that is alone from the start."""
    both = (Caught.UNTOLD, Caught.GO)
    found = results([of("A", says=both), of("B", says=both), of("C", alone=True)], tmp_path)
    assert [found[name].note for name in "AB"] == ["", ""]


@pytest.mark.parametrize(("first", "late"), [(Caught.UNTOLD, False), (Caught.NOT_GO, True)])
def test_what_others_may_have_disturbed_is_asked_again_alone(tmp_path: Path, first: Caught, late: bool) -> None:
    """A verdict withheld, or a missed duration; the second answer counts."""
    found = results([of("A", says=(first, Caught.GO), late=late), of("B")], tmp_path)
    assert found["A"].caught is Caught.GO
    again = results([of("A", says=(first, first), late=late)], tmp_path)
    assert again["A"].caught is first


@pytest.mark.parametrize("first", [Caught.NOT_GO, Caught.ESCAPED, Caught.WRONG])
def test_a_conviction_by_more_than_durations_or_an_escape_is_never_asked_again(
    tmp_path: Path, first: Caught
) -> None:
    """A GO at the second try would hide it."""
    found = results([of("A", says=(first, Caught.GO))], tmp_path)
    assert found["A"].caught is first


def test_a_rehearsal_whose_process_dies_did_not_run(tmp_path: Path) -> None:
    """It is told, and the others go on."""
    found = results([Job(name="A", work=Dying(row=row("A")), room=7, lasts_s=0), of("B")], tmp_path)
    assert found["A"].caught is Caught.NOT_RUN
    assert "ended with -9" in found["A"].note
    assert found["B"].caught is Caught.GO


def test_an_interrupt_ends_each_and_waits_for_its_report(tmp_path: Path) -> None:
    """No rehearsal goes on behind a proof that has ended."""
    jobs = [Job(name=name, work=Endless(row=row(name)), room=7, lasts_s=0) for name in ("A", "B")]

    def interrupt() -> None:
        began = [tmp_path / name / "began" for name in ("A", "B")]
        wait_until(lambda: all(path.exists() for path in began), DEADLINE_S, every_s=0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        results(jobs, tmp_path)
    assert all((tmp_path / name / "healed").exists() for name in ("A", "B"))
