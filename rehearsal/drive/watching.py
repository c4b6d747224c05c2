"""The seam between a run and whoever watches it: the run tells where it stands, and is told what to do by hand.

Keeps: a run without a watcher does exactly what its schedule says, and a fault begun by hand is an ordinary fault
with evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rehearsal.drive.control import Control

if TYPE_CHECKING:
    from rehearsal.drive.faults import FaultRunner
    from rehearsal.drive.operator import Operator
    from rehearsal.drive.samplers import Samplers
    from rehearsal.drive.stages import StageRunner
    from rehearsal.model import RunRecord
    from rehearsal.plan.scenario import Scenario
    from rehearsal.staging.shop import Shop
    from rehearsal.witness import Witness


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
