"""Stages on schedule: what is done at a stage's start, and what is read at its end.

Keeps: a stage passes by what the witness databases say, not by what tills report. Every stage of the plan is on
record at the end, and one that was not begun, or not seen to its end, is trouble of the run. A step that goes on
when the run is over is named; what it has in its hands then counts against nobody.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from chaos.errors import ChaosError
from rehearsal.drive.cleaning import Cleaning
from rehearsal.drive.level import Level, read_level
from rehearsal.drive.masters_match import masters_differ
from rehearsal.drive.takeover import Takeover
from rehearsal.drive.threads import LabThread
from rehearsal.drive.till_api import Refused, cashier_session
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.model import StageRecord
from rehearsal.plan.scenario import StagePlan
from rehearsal.staging.shop import Shop
from rehearsal.witness import Witness

POLL_S = 0.5
OFFLINE_SETTLE_S = 2.0
SUMS_S = 3.0
LATE_S = 1.0
STOP_S = 30.0
ON_SERVERS = frozenset({"promote", "rebuild_standby"})

Say = Callable[[str], None]


class StageRunner:
    """Runs the stages of a scenario in a thread of their own."""

    def __init__(
        self, stages: tuple[StagePlan, ...], *, shop: Shop, witness: Witness, takeover: Takeover,
        cleaning: Cleaning, stop: threading.Event, say: Say,
    ) -> None:  # fmt: skip
        self._cleaning = cleaning
        self._stages = stages
        self._shop = shop
        self._witness = witness
        self._say = say
        self._takeover = takeover
        self._stop = stop
        self._thread: LabThread | None = None
        self._running: StagePlan | None = None
        self._doing = ""
        self.records: list[StageRecord] = []
        self.trouble: list[str] = []
        self.left_behind: tuple[str, ...] = ()
        self.current = ""
        self.shut = ""

    def start(self, begin: float) -> None:
        """Begin; `begin` is when the load starts, in monotonic seconds."""
        self._thread = LabThread(self._run, begin, name="stages")
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether the last stage has been read, or no other is begun any more."""
        return self._thread is not None and not self._thread.is_alive()

    def stop(self) -> None:
        """End the stage that is running and start no other; put on record which were left out."""
        self._stop.set()
        going_on = ""
        if self._thread is not None:
            self.trouble += self._thread.end(STOP_S)
            going_on = self._doing * self._thread.is_alive()
        for stage in self._stages[len(self.records) :]:
            why = "not begun"
            if stage is self._running:
                why = "not seen to its end" + f": {going_on} goes on" * bool(going_on)
                self.left_behind = self._held(stage, going_on)
            self._leave_out(stage, why)
            self.trouble.append(f"stage {stage.name} was {why}")

    def _run(self, begin: float) -> None:
        for number, stage in enumerate(self._stages, start=1):
            if self._stop.wait(max(0.0, begin + stage.at_s - time.monotonic())):
                return
            late_s = time.monotonic() - begin - stage.at_s
            if late_s > max(stage.for_s, LATE_S):
                self._leave_out(stage, f"not begun: the one before it went on until {stage.at_s + late_s:.1f} s")
                self.trouble.append(f"stage {stage.name} was {self.records[-1].detail}")
                passed = None
            else:
                self.current = f"stage {number} of {len(self._stages)}: {stage.title}"
                self._say(self.current)
                passed = self._record(stage, begin)
            if stage.gate and not passed and not self._stop.is_set():
                self._shut(stage, self._stages[number:])
                return

    def _record(self, stage: StagePlan, begin: float) -> bool | None:
        """Run a stage and put it on record; return whether it passed, None: nothing to pass, or cut off."""
        self._running, started_s = stage, time.monotonic() - begin
        findings = self._one(stage, begin)
        wrong = [text for passed, text in findings if not passed]
        texts = wrong or [text for _, text in findings]
        if cut_off := self._stop.is_set():
            texts = ["cut off before its end", *texts]
        if cut_off and stage.asked:
            self.trouble.append(f"stage {stage.name} was cut off before its end")
        passed = None if cut_off or not findings else not wrong
        self.records.append(
            StageRecord(
                name=stage.name,
                title=stage.title,
                started_s=round(started_s, 2),
                ended_s=round(max(started_s, min(time.monotonic() - begin, stage.ends_s)), 2),
                passed=passed,
                detail="; ".join(texts),
                asked=stage.asked,
            )
        )
        for text in wrong * (passed is False):
            self._say(f"stage {stage.name} did not pass: {text}")
        return passed

    def _shut(self, gate: StagePlan, left: tuple[StagePlan, ...]) -> None:
        """Begin no further stage: one that had to pass before did not."""
        self.shut = f"the stages after {gate.name} were not begun, for it did not pass"
        for stage in left:
            self._leave_out(stage, f"not begun: {gate.name} did not pass")

    def _leave_out(self, stage: StagePlan, why: str) -> None:
        """Put a stage on record that nobody saw to its end."""
        self.records.append(
            StageRecord(
                name=stage.name, title=stage.title, started_s=stage.at_s, ended_s=stage.at_s, detail=why,
                asked=stage.asked,
            )
        )  # fmt: skip

    def _one(self, stage: StagePlan, begin: float) -> list[tuple[bool, str]]:
        until = begin + stage.ends_s
        before = self._operations(stage.tills) if "selling" in stage.checks else {}
        findings = self._begun(stage, until)
        if "offline" in stage.checks:
            self._stop.wait(max(0.0, min(OFFLINE_SETTLE_S, until - time.monotonic())))
            targets = stage.targets or stage.tills
            settled, unplugged = self._readable(targets, until), self._operations(targets)
        self._stop.wait(max(0.0, until - time.monotonic()))
        if self._stop.is_set():
            return findings
        ended = []  # read at once: the next stage may already undo what this one is about
        if "selling" in stage.checks:
            ended.append(self._selling(stage, before))
        if "offline" in stage.checks:
            ended.append(self._offline(stage, settled, unplugged))
        if "sums" in stage.checks:
            ended.append(self._takeover.sums(stage.targets or stage.tills, time.monotonic() + SUMS_S))
        return findings + ended

    def _begun(self, stage: StagePlan, until: float) -> list[tuple[bool, str]]:
        """Do the stage's steps, and what is checked as soon as it is so."""
        take, targets = self._takeover, stage.targets or stage.tills
        term_n = take.begin()
        does: dict[str, Callable[[], tuple[bool, str]]] = {
            "watch_live": take.watch_live,
            "promote": take.promote,
            "rebuild_standby": take.rebuild,
            "clean": lambda: self._clean(stage),
            "manual_sync": lambda: self._manual_sync(stage, until),
            "parity": lambda: take.check_parity(until),
            "synced": lambda: self._synced(stage, until),
            "failed_over": lambda: take.failed_over(targets, term_n, until),
            "fenced": lambda: take.fenced(until),
            "masters": lambda: self._masters(stage, until),
        }
        wanted, found = {*stage.steps, *stage.checks}, list[tuple[bool, str]]()
        for name, do in does.items():
            if name in wanted and not self._stop.is_set():
                self._doing = name
                found.append(do())
        self._doing = ""
        return found

    def _held(self, stage: StagePlan, step: str) -> tuple[str, ...]:
        """Return the nodes that a step has in its hands."""
        if step in ON_SERVERS:
            return tuple(side.server for side in self._shop.sides)
        return (stage.targets or stage.tills) if step == "clean" else ()

    def _selling(self, stage: StagePlan, before: dict[str, frozenset[str]]) -> tuple[bool, str]:
        """Every till of the stage sold."""
        sold = self._since(before, stage.tills)
        idle = [till for till, count in sold.items() if not count]
        if idle:
            return False, f"no entry on {', '.join(idle)}"
        return True, f"{sum(sold.values())} entries on {len(sold)} tills"

    def _offline(self, stage: StagePlan, before: Level, known: dict[str, frozenset[str]]) -> tuple[bool, str]:
        """The targets sold on, and nothing of theirs reached the server."""
        parts, passed, after = [], True, read_level(self._witness, self._shop.tills)
        for till, sold in self._since(known, stage.targets or stage.tills).items():
            came = after.came(till, before)
            passed = passed and sold > 0 and came == 0
            got = "can't be told" if came is None else came
            parts.append(f"{till} wrote {sold} entries offline, what the server got: {got}")
        return passed, "; ".join(parts)

    def _operations(self, tills: Iterable[str]) -> dict[str, frozenset[str]]:
        """Return the ids of what each till has journaled: its journal may begin anew, and its numbers with it."""
        found = {}
        for till in tills:
            with suppress(WitnessUnreadable, ChaosError):
                found[till] = self._witness.operations(till)
        return found

    def _since(self, known: dict[str, frozenset[str]], tills: Iterable[str]) -> dict[str, int]:
        """Return how many operations each till journaled since; none where it could not be read then or now."""
        now, none = self._operations(tills), frozenset[str]()
        return {till: len(now.get(till, none) - known.get(till, now.get(till, none))) for till in tills}

    def _synced(self, stage: StagePlan, until: float) -> tuple[bool, str]:
        """Everything that the targets had at the stage's start is on the server before its end."""
        start, begun = read_level(self._witness, self._shop.tills), time.monotonic()
        targets = stage.targets or stage.tills
        while True:
            level = read_level(self._witness, self._shop.tills)
            start = replace(start, marks=level.marks | start.marks)  # who could not be read then, from now on
            behind = [till for till in targets if level.behind(till, start)]
            if not behind:
                return (
                    True,
                    f"backlog of {len(targets)} tills on the server after {time.monotonic() - begun:.1f} s",
                )
            if time.monotonic() >= until or self._stop.wait(POLL_S):
                return False, f"still behind: {', '.join(behind)}"

    def _masters(self, stage: StagePlan, until: float) -> tuple[bool, str]:
        """Every target holds the server's masters before the stage's end."""
        targets, begun = stage.targets or stage.tills, time.monotonic()
        while True:
            try:
                differ = masters_differ(self._witness, targets)
            except WitnessUnreadable as error:
                differ = [str(error)]
            if not differ:
                return True, f"masters equal on {len(targets)} tills after {time.monotonic() - begun:.1f} s"
            if time.monotonic() >= until or self._stop.wait(2 * POLL_S):
                return False, "; ".join(differ[:3])

    def _clean(self, stage: StagePlan) -> tuple[bool, str]:
        """Clean the targets, one after another; none is begun once the run is over."""
        texts = []
        for till in stage.targets or stage.tills:
            if self._stop.is_set():
                return False, f"{till} was not cleaned"
            try:
                texts.append(self._cleaning.clean(till))
            except (ChaosError, WitnessUnreadable) as error:
                return False, f"{till} was not cleaned: {error}"
        return True, "; ".join(texts)

    def _manual_sync(self, stage: StagePlan, until: float) -> tuple[bool, str]:
        """Press the button on each target, again while it fails, until the stage ends."""
        texts, passed = [], True
        for till in stage.targets or stage.tills:
            done, text = self._press(till, until)
            passed = passed and done
            texts.append(f"{till}: {text}")
        return passed, "manual sync: " + "; ".join(texts)

    def _press(self, till: str, until: float) -> tuple[bool, str]:
        who = self._shop.catalogue.cashiers[-1]
        while True:
            try:
                session = cashier_session(self._shop.url(till), cashier_id=who.cashier_id, pin=who.pin)
                answer = session.post("/v1/sync", {"what": "all"})
                if answer.get("ok"):
                    return True, f"up to {answer.get('up', {}).get('acked')}"
                text = str(answer.get("error") or "not ok")
            except Refused as error:
                text = str(error)
            if time.monotonic() >= until or self._stop.wait(1.0):
                return False, text

    def _readable(self, tills: Sequence[str], until: float) -> Level:
        """Return the first level at which the server and all these tills can be read, or the last by `until`."""
        while True:
            level = read_level(self._witness, self._shop.tills)
            read = all(till in level.durable for till in tills)
            if read or time.monotonic() >= until or self._stop.wait(POLL_S):
                return level
