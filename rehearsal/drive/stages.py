"""Stages on schedule: what is done at a stage's start, and what is read at its end.

Keeps: a stage passes by what the witness databases say, not by what tills report.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from chaos.errors import ChaosError
from rehearsal.drive.cleaning import Cleaning
from rehearsal.drive.masters_match import masters_differ
from rehearsal.drive.takeover import Takeover
from rehearsal.drive.till_api import Refused, cashier_session
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.model import StageRecord
from rehearsal.plan.scenario import StagePlan
from rehearsal.staging.shop import Shop
from rehearsal.witness import ServerMark, TillMark, Witness

POLL_S = 0.5
OFFLINE_SETTLE_S = 2.0
SUMS_S = 3.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How far each till was, and the server with its present journal; who can't be read now is left out.

    `term_n` is that of the server that was read, None: none could be.
    """

    marks: dict[str, TillMark]
    durable: dict[str, int]
    term_n: int | None

    def behind(self, till: str, start: Level) -> bool:
        """Say whether the server lacks what a till had at the start, or has in a journal that it began since.

        A till is behind until it, and the server, could be read.
        """
        now, then, there = self.marks.get(till), start.marks.get(till), self.durable.get(till)
        if now is None or then is None or there is None:
            return True
        return there < (then.head if now.incarnation == then.incarnation else now.head)

    def came(self, till: str, start: Level) -> int | None:
        """Return how many entries of a till's reached the server since the start; None: it can't be told.

        Two servers' figures are not compared, nor those of two journals.
        """
        now, then = self.marks.get(till), start.marks.get(till)
        if till not in self.durable or till not in start.durable or now is None or then is None:
            return None
        if (self.term_n, now.incarnation) != (start.term_n, then.incarnation):
            return None
        return self.durable[till] - start.durable[till]


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
        self._thread: threading.Thread | None = None
        self.records: list[StageRecord] = []
        self.current = ""
        self.shut = ""

    def start(self, begin: float) -> None:
        """Begin; `begin` is when the load starts, in monotonic seconds."""
        self._thread = threading.Thread(target=self._run, args=(begin,), name="stages", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the stage that is running and start no other."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=30)

    def _run(self, begin: float) -> None:
        for number, stage in enumerate(self._stages, start=1):
            if self._stop.wait(max(0.0, begin + stage.at_s - time.monotonic())):
                return
            self.current = f"stage {number} of {len(self._stages)}: {stage.title}"
            self._say(self.current)
            findings = self._one(stage, begin)
            wrong = [text for passed, text in findings if not passed]
            self.records.append(
                StageRecord(
                    name=stage.name,
                    title=stage.title,
                    started_s=stage.at_s,
                    ended_s=round(min(time.monotonic() - begin, stage.ends_s), 2),
                    passed=None if self._stop.is_set() or not findings else not wrong,
                    detail="; ".join(wrong or [text for _, text in findings]),
                )
            )
            for text in wrong:
                self._say(f"stage {stage.name} did not pass: {text}")
            if stage.gate and wrong and not self._stop.is_set():
                self._shut(stage, self._stages[number:])
                return

    def _shut(self, gate: StagePlan, left: tuple[StagePlan, ...]) -> None:
        """Begin no further stage: one that had to pass before did not."""
        self.shut = f"the stages after {gate.name} were not begun, for it did not pass"
        self.records += [
            StageRecord(
                name=stage.name, title=stage.title, started_s=stage.at_s, ended_s=stage.at_s,
                detail=f"not begun: {gate.name} did not pass",
            )
            for stage in left
        ]  # fmt: skip

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
        wanted = {*stage.steps, *stage.checks}
        return [do() for name, do in does.items() if name in wanted and not self._stop.is_set()]

    def _selling(self, stage: StagePlan, before: dict[str, frozenset[str]]) -> tuple[bool, str]:
        """Every till of the stage sold."""
        sold = self._since(before, stage.tills)
        idle = [till for till, count in sold.items() if not count]
        if idle:
            return False, f"no entry on {', '.join(idle)}"
        return True, f"{sum(sold.values())} entries on {len(sold)} tills"

    def _offline(self, stage: StagePlan, before: Level, known: dict[str, frozenset[str]]) -> tuple[bool, str]:
        """The targets sold on, and nothing of theirs reached the server."""
        parts, passed, after = [], True, self._level()
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
        start, begun = self._level(), time.monotonic()
        targets = stage.targets or stage.tills
        while True:
            level = self._level()
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
        """Clean the targets, one after another."""
        texts = []
        for till in stage.targets or stage.tills:
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
            level = self._level()
            read = all(till in level.durable for till in tills)
            if read or time.monotonic() >= until or self._stop.wait(POLL_S):
                return level

    def _level(self) -> Level:
        """Read how far everybody is; a database that can't be read now leaves out what it would tell."""
        marks: dict[str, TillMark] = {}
        durable: dict[str, int] = {}
        server: ServerMark | None = None
        with suppress(WitnessUnreadable, ChaosError):
            server = self._witness.server()
        for till in self._shop.tills:
            with suppress(WitnessUnreadable, ChaosError):
                marks[till] = mark = self._witness.till(till)
                if server is not None:
                    durable[till] = server.durable.get((till, mark.incarnation), 0)
        return Level(marks=marks, durable=durable, term_n=None if server is None else server.term_n)
