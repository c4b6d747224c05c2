"""Whole rehearsals side by side: as many as the processors carry, each in a process of its own.

Keeps: what is judged by durations runs beside nothing but its like; what could not be told, or what only missed a
duration, beside others is asked once more alone, and that answer counts; Ctrl-C heals, stops and reports each.
"""

from __future__ import annotations

import os
import signal
import sys
import time
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
from chaos.host import HostMeter
from rehearsal.prove.room import Room
from rehearsal.prove.row import Caught, Result, Row

TICK_S = 1.0
# forked, a rehearsal imports nothing anew; there are no threads here
_context = get_context("fork") if sys.platform == "linux" else get_context("spawn")


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

    `lasts_s`: about how long, set-up aside. `alone`: nothing runs beside it but what is alone as well. `repeated`:
    it was asked before, and nothing at all runs beside it.
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


def abreast(jobs: Sequence[Job], reports: Path, *, room: Room) -> Iterator[tuple[Job, Result]]:
    """Run jobs, the long ones first so that none is left at the end, and yield each as soon as it is known."""
    waiting, running = deque(sorted(jobs, key=lambda job: -job.lasts_s)), list[_Running]()
    meter = HostMeter()
    try:
        while waiting or running:
            if (job := _next(waiting, running, room)) is not None:
                waiting.remove(job)
                running.append(_start(job, reports))
                room.started(time.monotonic())
            for done in wait([one.answer for one in running], TICK_S):
                one = next(one for one in running if one.answer is done)
                result = _result(one)
                running.remove(one)
                if _disturbed(one.job, result):
                    waiting.append(replace(one.job, alone=True, repeated=True))
                else:
                    yield one.job, result
            room.note(time.monotonic(), meter.sample().busy * (os.cpu_count() or 1))
    finally:
        for one in running:
            if one.process.pid is not None and one.process.is_alive():
                with suppress(ProcessLookupError):
                    os.kill(one.process.pid, signal.SIGINT)
        for one in running:
            one.process.join()


def _next(waiting: deque[Job], running: Sequence[_Running], room: Room) -> Job | None:
    """Return the first that may run beside the others."""
    now, taken = time.monotonic(), sum(one.job.room for one in running)
    beside = (job for job in waiting if all(_agree(job, one.job) for one in running))
    return next((job for job in beside if room.fits(now, taken, job.room)), None)


def _agree(one: Job, other: Job) -> bool:
    return one.alone == other.alone and not (one.repeated or other.repeated)


def _start(job: Job, reports: Path) -> _Running:
    answer, told = _context.Pipe(duplex=False)
    folder = reports / (f"{job.name}-again" if job.repeated else job.name)
    process = _context.Process(target=_perform, args=(job.work, folder, told, os.getpid()), name=job.name)
    process.start()
    told.close()
    return _Running(job=job, process=process, answer=answer)


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
