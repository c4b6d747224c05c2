"""What one run is and what it has collected so far; passed from phase to phase."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from rehearsal.drive.watching import Watch
from rehearsal.model import Drain, StageRecord
from rehearsal.options import Options
from rehearsal.plan.scenario import Scenario
from rehearsal.progress import Progress


@dataclass(slots=True, kw_only=True)
class Run:
    """What a run collects on its way."""

    scenario: Scenario
    options: Options
    folder: Path
    progress: Progress
    begun: datetime
    commit: str
    begins: datetime | None = None
    business_date: str = ""
    trouble: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    stages: list[StageRecord] = field(default_factory=list)
    drained: Drain | None = None
    interrupted: bool = False
    watch: Watch = field(default_factory=Watch)
