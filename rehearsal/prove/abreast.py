"""Whole rehearsals side by side: as many as the processors carry, each in a process of its own.

Keeps: what is judged by durations runs alone; what could not be told, or what only missed a duration, beside
others is asked once more alone, and that answer counts; Ctrl-C heals, stops and reports each of them.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from chaos.fleet.warden import PR_SET_PDEATHSIG, process_control
from rehearsal.prove.row import Caught, Result, Row

ROOM_PER_PROCESSOR = 15  # three rehearsals of three tills fit on two processors, four short ones saturate them
_context = get_context("spawn")


class Work(Protocol):
    """One rehearsal to be run for a row, in another process: it is pickled."""

    @property
    def row(self) -> Row:
        """Return the row."""
        ...

    def run(self, reports: Path) -> Result:
        """Run it, with its report in a folder of `reports`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A rehearsal, `name` being that of its folder. `room`: the processor time it takes, in tills.

    `lasts_s`: about how long, set-up aside. `alone`: nothing runs beside it. `repeated`: it was asked before.
    """

    name: str
    work: Work
    room: int
    lasts_s: float
    alone: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    job: Job
    process: BaseProcess
    answer: Connection


def abreast(jobs: Sequence[Job], reports: Path, *, processors: int) -> Iterator[tuple[Job, Result]]:
    """Run jobs, the long ones first so that none is left at the end, and yield each as soon as it is known."""
    waiting, running = deque(sorted(jobs, key=lambda job: -job.lasts_s)), list[_Running]()
    try:
        while waiting or running:
            _start_what_fits(waiting, running, reports, processors * ROOM_PER_PROCESSOR)
            for done in wait([one.answer for one in running]):
                one = next(one for one in running if one.answer is done)
                result = _result(one)
                running.remove(one)
                if _disturbed(one.job, result):
                    waiting.append(replace(one.job, alone=True, repeated=True))
                else:
                    yield one.job, result
    finally:
        for one in running:
            if one.process.pid is not None and one.process.is_alive():
                with suppress(ProcessLookupError):
                    os.kill(one.process.pid, signal.SIGINT)
        for one in running:
            one.process.join()


def _start_what_fits(waiting: deque[Job], running: list[_Running], reports: Path, room: int) -> None:
    for job in tuple(waiting):
        taken = sum(room if one.job.alone else one.job.room for one in running)
        if running and (job.alone or taken + job.room > room):
            continue
        waiting.remove(job)
        answer, told = _context.Pipe(duplex=False)
        folder = reports / (f"{job.name}-again" if job.repeated else job.name)
        process = _context.Process(target=_perform, args=(job.work, folder, told, os.getpid()), name=job.name)
        process.start()
        told.close()
        running.append(_Running(job=job, process=process, answer=answer))


def _result(one: _Running) -> Result:
    try:
        found = one.answer.recv()
    except EOFError:
        found = None
    one.process.join()
    one.answer.close()
    if isinstance(found, Result):
        return found
    note = f"its process ended with {one.process.exitcode} and no result"
    return Result(row=one.job.work.row, caught=Caught.NOT_RUN, note=note)


def _disturbed(job: Job, result: Result) -> bool:
    """Say whether a result may be due to what ran beside it."""
    if job.alone:
        return False
    return result.caught is Caught.UNTOLD or (result.caught is Caught.NOT_GO and result.late)


def _perform(work: Work, folder: Path, told: Connection, parent: int) -> None:
    """Be the process of one rehearsal: a Ctrl-C reaches it once, by its parent, and it ends with that."""
    os.setpgrp()
    if (control := process_control()) is not None:
        control(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        return
    with suppress(KeyboardInterrupt):
        told.send(work.run(folder))
