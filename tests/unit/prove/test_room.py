"""How many rehearsals the processors carry: never two starts at once, and none where they are full."""

from __future__ import annotations

from rehearsal.prove.room import Limits, Room

LIMITS = Limits(room=15, busy=0.75, watched_s=5.0, start_s=10.0)


def room(*busy: float, until_s: float = 100.0, processors: int = 2) -> Room:
    """Return a room that noted so many busy processors, one note a second, the last at `until_s`."""
    made = Room(processors, LIMITS)
    for index, one in enumerate(busy):
        made.note(until_s - len(busy) + 1 + index, one)
    return made


def test_the_first_needs_no_room() -> None:
    """On a host that others keep busy a proof goes on, one rehearsal after the other."""
    assert room(2.0, 2.0).fits(100.0, 0, 6)
    assert not room(2.0, 2.0).fits(100.0, 6, 6)


def test_nothing_joins_before_the_load_is_known() -> None:
    """No note says nothing."""
    assert not room().fits(100.0, 6, 6)


def test_one_more_fits_where_the_processors_were_idle_enough_of_late() -> None:
    """By the mean of the last seconds: what was before does not count."""
    assert room(1.4, 1.5, 1.4, 1.6, 1.5).fits(100.0, 18, 6)
    assert not room(1.5, 1.5, 1.4, 1.6, 1.5).fits(100.0, 18, 6)
    assert room(2.0, 2.0, 2.0, 1.4, 1.5, 1.4, 1.6, 1.5).fits(100.0, 18, 6)
    assert not room(1.0, 1.0, 1.0, 1.0, 1.0, processors=1).fits(100.0, 12, 6)


def test_two_never_start_at_once() -> None:
    """A start looks idle at first; what was noted before it says nothing of it."""
    made = room(0.1, 0.1)
    made.started(100.0)
    made.note(101.0, 0.2)
    assert not made.fits(101.0, 6, 6)
    assert not made.fits(109.9, 6, 6)
    assert made.fits(110.0, 6, 6)


def test_never_is_more_room_taken_than_there_is() -> None:
    """However idle the processors are just now: what runs may be about to start its servers."""
    assert room(0.1).fits(100.0, 15, 15)
    assert not room(0.1).fits(100.0, 16, 15)
    assert room(0.1).fits(100.0, 0, 31)
