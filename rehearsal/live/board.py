"""What the page shows: gathered once a second while a run goes on, and only as deep as somebody looks.

Keeps: nothing here can stop or slow a run. An open page costs each till one status request a second;
without one, only what the run has gathered anyway is read. Nothing is ever called GO before the judge did.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path

import msgspec

from rehearsal.drive.watching import Selling, Watch
from rehearsal.live.figures import Latencies
from rehearsal.live.hands import Hands
from rehearsal.live.rows import Band, FaultRow, ServerRow, TillRow, bands, fault_rows, server_rows, till_row
from rehearsal.model import Intervention, RunRecord
from rehearsal.plan.scenario import Scenario

EVERY_S = 1.0
LOG_LINES = 300
POINTS_MAX = 1200
SO_FAR = "nothing disproved yet"
NOT_RUN = "not run: "  # as rehearsal.drive.faults words what this fleet can't do
Planned = tuple[float, str, tuple[str, ...]]  # second, kind, targets


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One second of the charts. Waits in milliseconds, None when nobody was served."""

    t: float
    rate: float
    p50: float | None
    p99: float | None
    backlog: dict[str, int]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the run ended. `report` is a path for people."""

    verdict: str
    why: str
    report: str


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The board at one moment; seconds count from the start of the load.

    `next_faults` are the schedule's that have not begun, by their time, also those that a pause holds back.
    """

    phase: str
    scenario: str
    title: str
    seed: int
    second: float | None
    duration_s: float
    so_far: str
    doubts: list[str]
    stage: str
    stages: list[tuple[str, float, float]]
    paused: bool
    halted: bool
    tills: list[TillRow]
    servers: list[ServerRow]
    faults: list[FaultRow]
    next_faults: list[Planned]
    bands: list[Band]
    by_hand: tuple[Intervention, ...]
    outcome: Outcome | None


class Board(Watch):
    """The watcher of one run. `attached` counts the pages that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.hands = Hands(self.control)
        self.attached = 0
        self.folder: Path | None = None
        self.log: deque[tuple[int, str]] = deque(maxlen=LOG_LINES)
        self.points: list[Point] = []
        self.thinned = 0
        self.version = 0
        self._scenario: Scenario | None = None
        self._selling: Selling | None = None
        self._latencies: Latencies | None = None
        self._phase = "starting"
        self._outcome: Outcome | None = None
        self._said = 0
        self._step = 1
        self._ticks = 0
        self._epoch = 0
        self._ended = threading.Event()
        self._poke = threading.Event()
        self._lock = threading.Lock()
        self._state = self._gather()
        self._thread = threading.Thread(target=self._run, name="board", daemon=True)
        self._thread.start()

    @property
    def state(self) -> State:
        """The latest state."""
        return self._state

    @property
    def outcome(self) -> Outcome | None:
        """How the run ended, once it has."""
        return self._outcome

    @property
    def report(self) -> Path | None:
        """The finished report."""
        return None if self.folder is None or self._outcome is None else self.folder / "report.html"

    def hear(self, text: str) -> None:
        """Take a line of the run's log."""
        with self._lock:
            self._said += 1
            self.log.append((self._said, f"{time.strftime('%H:%M:%S')}  {text}"))
        self.poke()

    def last_line(self) -> str:
        """Return what was said last."""
        return self.log[-1][1].partition("  ")[2] if self.log else ""

    def poke(self) -> None:
        """Gather at once."""
        self._poke.set()

    def begun(self, scenario: Scenario, folder: Path) -> None:
        """Show what will be staged."""
        self._scenario, self.folder, self._phase = scenario, folder, "staging"
        self._go_on()

    def selling(self, selling: Selling) -> None:
        """Show the shop."""
        self._selling, self._latencies = selling, Latencies(selling.parts)
        self.hands.selling = selling
        self._phase = "selling"
        self._go_on()

    def phase(self, name: str) -> None:
        """Show that the run went on; from then on nothing can be done by hand."""
        self.hands.selling = None
        if name == "stopping":
            self._selling = None  # what is shown from now on is the shop as it was last seen
        self._phase = name
        self._go_on()

    def judged(self, record: RunRecord) -> None:
        """Show the outcome."""
        self._end(
            "judged", record.judgement.verdict.value, record.judgement.why, str(record.folder / "report.html")
        )

    def gave_up(self, why: str) -> None:
        """Show that there is no outcome."""
        self._end("could not run", "could not run", why, "")

    def close(self) -> None:
        """Stop gathering."""
        self._ended.set()
        self._poke.set()
        self._thread.join(timeout=5)

    def _end(self, phase: str, verdict: str, why: str, report: str) -> None:
        self._selling, self.hands.selling = None, None
        self._outcome = Outcome(verdict=verdict, why=why, report=report)
        self._phase = phase
        self._epoch += 1
        self._state = self._gather()
        self.version += 1

    def _go_on(self) -> None:
        """Have the state gathered anew; what is being gathered is out of date."""
        self._epoch += 1
        self.poke()

    def _refresh(self) -> None:
        """Bring the state up to date, unless the run went on meanwhile."""
        epoch = self._epoch
        state = self._gather()
        if epoch == self._epoch:
            self._state = state

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            self._poke.wait(max(0.05, due - time.monotonic()))
            self._poke.clear()
            try:
                if time.monotonic() >= due:
                    due = time.monotonic() + EVERY_S
                    self._point()
                self._refresh()
            except Exception as error:  # noqa: BLE001 - the outer loop: the page says so, the run goes on
                self.log.append((self._said, f"the page could not be brought up to date: {error!r}"))
            self.version += 1

    def _point(self) -> None:
        selling, latencies = self._selling, self._latencies
        if selling is None or latencies is None:
            return
        now_ms = time.time_ns() // 1_000_000
        latencies.read(now_ms)
        second = time.monotonic() - selling.begin
        self._ticks += 1
        if second < 0 or self._ticks % self._step:
            return
        rate, p50, p99 = latencies.recent(now_ms)
        behind = {till: max(0, head - there) for till, (head, there) in dict(selling.samplers.latest).items()}
        self.points.append(Point(t=round(second, 1), rate=rate, p50=p50, p99=p99, backlog=behind))
        if len(self.points) > POINTS_MAX:
            self.points = self.points[::2]
            self._step *= 2
            self.thinned += 1

    def _gather(self) -> State:
        selling, scenario = self._selling, self._scenario
        second = None if selling is None else round(time.monotonic() - selling.begin, 1)
        looked_at = self.attached > 0
        tills, servers, faults, ahead = self._state_rows()
        if selling is not None:
            latencies = self._latencies
            tills = [
                till_row(selling, till, looked_at=looked_at, p99_ms=latencies.p99_ms(till) if latencies else None)
                for till in selling.shop.tills
            ]
            servers = server_rows(selling) if looked_at else servers
            faults = fault_rows(selling)
            ahead = _ahead(selling) if self._phase == "selling" else []
        doubts = self._doubts()
        return State(
            phase=self._phase,
            scenario=scenario.name if scenario else "",
            title=scenario.title if scenario else "",
            seed=scenario.seed if scenario else 0,
            second=second,
            duration_s=scenario.load.duration_s if scenario else 0.0,
            so_far=f"{len(doubts)} findings so far" if doubts else SO_FAR,
            doubts=doubts,
            stage=selling.stages.current if selling else "",
            stages=[(stage.title, stage.at_s, stage.ends_s) for stage in scenario.stages] if scenario else [],
            paused=self.control.paused,
            halted=self.control.halted,
            tills=tills,
            servers=servers,
            faults=faults,
            next_faults=ahead,
            bands=bands(selling) if selling else (self._state.bands if self.version else []),
            by_hand=self.control.done(),
            outcome=self._outcome,
        )

    def _state_rows(
        self,
    ) -> tuple[list[TillRow], list[ServerRow], list[FaultRow], list[Planned]]:
        """Return the rows as last seen; faults are lifted once nothing sells."""
        if not self.version:
            return [], [], [], []
        return self._state.tills, self._state.servers, [], []

    def _doubts(self) -> list[str]:
        """Return what the run itself already knows to be wrong; the judge knows more, and later."""
        selling = self._selling
        if selling is None:
            return self._state.doubts if self.version else []
        found = [
            f"stage {one.name} did not pass: {one.detail}" for one in selling.stages.records if one.passed is False
        ]
        for plan, record in selling.faults.carried_out():
            if record.ended_ms is not None and record.bit is False:
                found.append(f"{plan.kind} on {', '.join(plan.targets)} did not bite: {record.evidence}")
            if record.healed is False:
                found.append(
                    f"{plan.kind} on {', '.join(plan.targets)} could not be lifted: {record.heal_evidence}"
                )
        return found


def _ahead(selling: Selling) -> list[Planned]:
    """Return the schedule's faults that are still to begin, by their time, also those that a pause holds back."""
    on = {index for index, _, _ in selling.faults.on()}
    return sorted(
        (plan.at_s, plan.kind, plan.targets)
        for index, (plan, record) in enumerate(selling.faults.carried_out())
        if not (plan.by_hand or record.ran or index in on or record.evidence.startswith(NOT_RUN))
    )
