"""The S rows: bugs planted in the simulated fleet, proved in a pool of processes.

Keeps: a row is caught only when the expected checker convicts a schedule within SEEDS, and the same schedule
without the bug is clean; when another checker convicts an earlier schedule, the note says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed

from chaos.fleet.simulated.mutants import all_mutants, planted
from chaos.fleet.simulated.plan import plan
from chaos.fleet.simulated.run import play, play_seeds
from rehearsal.prove.row import Caught, Part, Result, Row, judged

SEEDS = 300


def simulated_part(jobs: int) -> Part:
    """Return the S rows, played in `jobs` processes."""
    rows = tuple(
        Row(id=mutant.id, title=mutant.title, fault=mutant.fault, expected=mutant.expected)
        for mutant in all_mutants()
    )
    return Part(name="simulated", rows=rows, prove=lambda wanted: _prove(wanted, jobs))


def _prove(rows: tuple[Row, ...], jobs: int) -> Iterator[Result]:
    """Yield results in the order of the rows, each as soon as it and those before it are known."""
    if not rows:
        return
    with ProcessPoolExecutor(min(jobs, len(rows))) as pool:
        asked = {pool.submit(prove_one, row): number for number, row in enumerate(rows)}
        known: dict[int, Result] = {}
        following = 0
        try:
            for future in as_completed(asked):
                known[asked[future]] = future.result()
                while following in known:
                    yield known[following]
                    following += 1
        finally:
            pool.shutdown(cancel_futures=True)


def prove_one(row: Row) -> Result:
    """Play schedules under a bug, up to the first that the expected checker convicts; then its clean twin."""
    started = time.monotonic()
    convicted: tuple[str, ...] = ()
    seed: int | None = None
    note = ""
    with planted(row.id) as profile:
        assert profile is not None
        for outcome in play_seeds(0, SEEDS, profile):
            if not outcome.checkers:
                continue
            if row.expected in outcome.checkers:
                convicted, seed = outcome.checkers, outcome.plan.seed
                break
            if seed is None:
                convicted, seed = outcome.checkers, outcome.plan.seed
                note = f"schedule {seed} was convicted before, by {', '.join(convicted)}"
    caught = judged(row.expected, convicted)
    if seed is not None:
        twin = play(plan(seed, row.id))
        if twin.findings:
            caught = Caught.WRONG
            note = f"schedule {seed} is convicted without the bug too: {twin.findings[0].checker}"
    return Result(
        row=row,
        caught=caught,
        convicted=convicted,
        seed=seed,
        seconds=time.monotonic() - started,
        note=note or ("" if convicted else f"{SEEDS} schedules"),
        ran=f"tillproof simulate --mutant {row.id} --seed {seed or 0} --seeds 1 --jobs 1",
    )
