"""The seam between a run and whoever watches it: the run tells where it stands, and is told what to do by hand.

Keeps: a run without a watcher does exactly what its schedule says. What is asked for by hand goes on record, a
fault begun by hand is an ordinary fault with evidence, and a pause only holds back what has not begun.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rehearsal.model import Intervention

if TYPE_CHECKING:
    from rehearsal.drive.faults import FaultRunner
    from rehearsal.drive.operator import Operator
    from rehearsal.drive.samplers import Samplers
    from rehearsal.drive.stages import StageRunner
    from rehearsal.model import RunRecord
    from rehearsal.plan.scenario import Scenario
    from rehearsal.staging.shop import Shop
    from rehearsal.witness import Witness


class Control:
    """What was asked for by hand; safe to use from several threads."""

    def __init__(self) -> None:
        self._halted = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._lock = threading.Lock()
        self._done: list[Intervention] = []
        self.begin = time.monotonic()

    @property
    def halted(self) -> bool:
        """Whether the selling is to end now."""
        return self._halted.is_set()

    @property
    def paused(self) -> bool:
        """Whether no fault of the schedule may begin."""
        return not self._going.is_set()

    def halt(self) -> None:
        """End the selling: what is on is lifted, and the run is settled and judged as interrupted."""
        self._halted.set()
        self._going.set()

    def check(self) -> None:
        """Raise KeyboardInterrupt, as Ctrl-C does, once the selling is to end."""
        if self.halted:
            raise KeyboardInterrupt

    def pause(self) -> None:
        """Hold back the faults of the schedule that have not begun."""
        self._going.clear()

    def resume(self) -> None:
        """Let the schedule go on; faults that came due begin now."""
        self._going.set()

    def wait_while_paused(self, ended: threading.Event) -> None:
        """Return once the schedule may go on, or has ended."""
        while not ended.is_set() and not self._going.wait(0.2):
            pass

    def note(self, what: str, targets: tuple[str, ...] = (), text: str = "") -> None:
        """Put on record that something was asked for, or what came of it."""
        at_s = round(time.monotonic() - self.begin, 2)
        with self._lock:
            self._done.append(Intervention(at_s=at_s, what=what, targets=targets, text=text))

    def done(self) -> tuple[Intervention, ...]:
        """Return everything on record, in order."""
        with self._lock:
            return tuple(self._done)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selling:
    """The parts of a run while it sells. `begin` is when the load starts, in monotonic seconds."""

    scenario: Scenario
    shop: Shop
    witness: Witness
    faults: FaultRunner
    stages: StageRunner
    samplers: Samplers
    operator: Operator
    parts: Path
    begin: float


class Watch:
    """Nobody watches; what does overrides these. All but `control` are called by the run's own thread."""

    def __init__(self) -> None:
        self.control = Control()

    def begun(self, scenario: Scenario, folder: Path) -> None:
        """Look at a run that is about to be staged."""

    def selling(self, selling: Selling) -> None:
        """Look at a shop that begins to sell."""

    def phase(self, name: str) -> None:
        """Note that the run went on: healing, settling, stopping (the last look at the shop), judging."""

    def judged(self, record: RunRecord) -> None:
        """Look at the outcome; the report is written."""
