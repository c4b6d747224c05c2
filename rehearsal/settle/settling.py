"""After the heal: the system comes to rest by itself, the day is closed, and it comes to rest again.

Keeps: before the day is closed nothing is sold, restarted or synchronised by the lab, so that a retry which
waits for the next sale shows as a drain that never ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chaos.errors import ChaosError
from loadtest.history import History
from rehearsal.drive.generator import LOAD
from rehearsal.drive.selling import Sold
from rehearsal.drive.system import PROMOTER
from rehearsal.model import StageRecord
from rehearsal.run_state import Run
from rehearsal.settle.closing import close_day
from rehearsal.settle.drain import drain, joined
from rehearsal.staging.shop import Shop
from rehearsal.witness import Witness

CLOSE_HISTORY = "d0"
BRIEF_S = 10.0


def settle(run: Run, shop: Shop, witness: Witness, parts: Path, sold: Sold) -> None:
    """Drain, close the day, drain again; an interrupted run only drains, and briefly."""
    progress, deadline_s = run.progress, run.scenario.drain.deadline_s

    def endings() -> list[str]:
        found = [ending for ending in shop.fleet.unasked_endings() if not ending.node.startswith((LOAD, PROMOTER))]
        return [
            f"{ending.node} ended by itself with {ending.status}" + " at its memory limit" * ending.oom
            for ending in found
        ]

    copies = [clone.name for clone in sold.disks.clones] if sold.disks else []
    sites = (*shop.tills, *copies)
    history = History(parts, CLOSE_HISTORY)
    try:
        progress.say("all faults lifted; waiting until the system is quiet")
        with _stage(run, sold, "drain", "The healed system comes to rest") as note:
            run.drained = drain(
                witness, sites, deadline_s=BRIEF_S if run.interrupted else deadline_s, endings=endings
            )
            note(run.drained.quiet, "; ".join(run.drained.pending[:5]) or f"quiet after {run.drained.took_s:g} s")
        if run.interrupted:
            return
        progress.say("closing the day")
        with _stage(run, sold, "close", "The day is closed and the last entries settle") as note:
            undone = close_day(shop, witness, history, shop.tills)
            second = drain(witness, sites, deadline_s=deadline_s, endings=endings)
            run.drained = joined(run.drained, second)
            note(not undone and second.quiet, "; ".join([*undone, *second.pending][:5]) or "all tills closed")
            run.trouble += [] if run.drained.quiet else undone
    except KeyboardInterrupt:
        run.interrupted = True
        run.trouble.append("interrupted while the system was coming to rest")
    except ChaosError as error:
        run.trouble.append(f"the lab failed while settling: {error}")
    finally:
        history.end()


@contextmanager
def _stage(run: Run, sold: Sold, name: str, title: str) -> Iterator[Any]:
    """Note a stage of the settling; the body says whether it passed."""
    begun = time.time() - sold.started_ms / 1000
    outcome: list[tuple[bool | None, str]] = [(None, "not reached")]
    try:
        yield lambda passed, detail: outcome.append((passed, detail))
    finally:
        passed, detail = outcome[-1]
        ended = time.time() - sold.started_ms / 1000
        run.stages.append(
            StageRecord(
                name=name, title=title, started_s=round(begun, 2), ended_s=round(ended, 2), passed=passed,
                detail=detail, asked=(name,),
            )
        )  # fmt: skip
