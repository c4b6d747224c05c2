"""Rows that are answered by whole rehearsals: each is run once, all of them side by side, whichever rows need it.

Keeps: a row is answered as soon as its last rehearsal is known; an answer that fails is "not run", and costs no
other row its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rehearsal.prove.abreast import Job, abreast
from rehearsal.prove.room import Room
from rehearsal.prove.row import Caught, Part, Result, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A row, the rehearsals that it needs, and what their results, in that order, say of it.

    Jobs of the same name are one rehearsal.
    """

    row: Row
    jobs: tuple[Job, ...]
    answer: Callable[[Sequence[Result]], Result]


def rehearsed_part(asked: Sequence[Asked], reports: Path, processors: int) -> Part:
    """Return a part of these rows; their runs are kept in `reports`."""
    by_row = {one.row: one for one in asked}
    return Part(
        name="rehearsals",
        rows=tuple(by_row),
        prove=lambda wanted: _prove([by_row[row] for row in wanted], reports, processors),
    )


def _prove(asked: Sequence[Asked], reports: Path, processors: int) -> Iterator[Result]:
    jobs = {job.name: job for one in reversed(asked) for job in one.jobs}
    yield from (_answer(one, {}) for one in asked if not one.jobs)
    left = [one for one in asked if one.jobs]
    known: dict[str, Result] = {}
    for job, result in abreast(tuple(jobs.values()), reports, room=Room(processors)):
        known[job.name] = result
        for ready in [one for one in left if {job.name for job in one.jobs} <= known.keys()]:
            left.remove(ready)
            yield _answer(ready, known)


def _answer(one: Asked, known: dict[str, Result]) -> Result:
    try:
        result = one.answer([known[job.name] for job in one.jobs])
    except Exception as error:  # noqa: BLE001 - reported as the row's; the other rows go on
        note = f"the lab failed: {type(error).__name__}: {error}"
        return Result(row=one.row, caught=Caught.NOT_RUN, note=note)
    return replace(result, row=one.row)
