"""Faults on schedule: each in its own thread, from injection to the read-back of its lifting.

Keeps: whatever happens to the run, a fault that was injected is lifted, and its record says what came of it. What
nobody foresaw in a fault is on record like any other trouble; a thread that dies silently would leave nodes down.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chaos.errors import ChaosError, FaultInvalid
from chaos.faults.base import Context, Fault, Healed
from chaos.faults.catalogue import FAULTS, fault
from chaos.faults.parameters import check, described
from chaos.faults.postgres_restart import PostgresRestart
from chaos.faults.slow_clerk import SlowClerk
from rehearsal.drive.control import Control
from rehearsal.drive.threads import LabThread
from rehearsal.model import FaultRecord
from rehearsal.plan.scenario import FaultPlan, Scenario
from rehearsal.plan.table import closest
from rehearsal.staging.sides import LIVE, PREPRODUCTION
from rehearsal.staging.till_database import TILL_POSTGRES

OBSERVE_EVERY_S = 0.5
TOUCH_GRACE_S = 5.0
READ_BACK_S = 10.0
AGAIN_S = 0.05
LIFTS = 3
SERVERS_DATABASES = (LIVE.postgres, PREPRODUCTION.postgres)
DATABASES_OF = {SlowClerk.kind: SERVERS_DATABASES, PostgresRestart.kind: (*SERVERS_DATABASES, TILL_POSTGRES)}

Say = Callable[[str], None]


def _by(plan: FaultPlan) -> dict[str, str]:
    return {"by": "hand"} if plan.by_hand else {}


class KnownFaults:
    """What a scenario file may ask for, from the registry of faults."""

    def kinds(self) -> Sequence[str]:
        """Return every kind."""
        return tuple(FAULTS)

    def problems(self, kind: str, params: Mapping[str, Any], targets: Sequence[str]) -> Mapping[str, str]:
        """Return key → what is wrong with it."""
        found = {}
        known = {field.name: field for field in described(FAULTS[kind].parameters)}
        for name, value in params.items():
            if name not in known:
                keys = ", ".join(["kind", "targets", "at", "for", *known])
                found[name] = f"fault {kind} has no such parameter; known: {keys}{closest(name, known)}"
                continue
            try:
                check(kind, known[name], value)
            except FaultInvalid as error:
                found[name] = str(error)
        if FAULTS[kind].aim in ("link", "till"):
            strange = [target for target in targets if not target.startswith("T")]
            if strange:
                found["targets"] = f"fault {kind} is for tills, not for {', '.join(strange)}"
        there = DATABASES_OF.get(kind, targets)
        if strange := [target for target in targets if target not in there]:
            found["targets"] = f"fault {kind} is for {' or '.join(there)}, not for {', '.join(strange)}"
        return found or FAULTS[kind].misfits(targets, FAULTS[kind].parameters(**params))

    def on_link(self, kind: str) -> bool:
        """Say whether a kind changes a till's link."""
        return FAULTS[kind].aim == "link"


class FaultRunner:
    """Runs a scenario's faults against one clock; `begin` is when the load starts, in monotonic seconds."""

    def __init__(self, scenario: Scenario, context: Context, *, say: Say, control: Control | None = None) -> None:
        self._context = context
        self._scenario = scenario
        self._say = say
        self._control = control or Control()
        self._heal = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[LabThread] = []
        self._active: dict[int, float] = {}
        self._touched: dict[str, float] = {}
        self._plans = list(scenario.faults)
        self._ends = [threading.Event() for _ in self._plans]
        self._records = [self._planned(plan) for plan in self._plans]

    def start(self, begin: float) -> None:
        """Start a thread for each fault."""
        for index, plan in enumerate(self._scenario.faults):
            name = f"fault-{index}-{plan.kind}"
            thread = LabThread(self._run, index, plan, begin, name=name)
            self._threads.append(thread)
            thread.start()

    def begin_now(self, plan: FaultPlan, begin: float) -> int:
        """Begin a fault that nobody had planned, and return its number; raises FaultInvalid when it can't be.

        It ends after its time, or by `end`. Refused while another fault is on the same target, or after `heal`.
        """
        with self._lock:
            for index in self._active:
                shared = sorted(set(self._plans[index].targets) & set(plan.targets))
                if shared:
                    raise FaultInvalid(f"{self._plans[index].kind} is already on {', '.join(shared)}")
            if self._heal.is_set():
                raise FaultInvalid("the selling is over")
            index = len(self._plans)
            self._plans.append(plan)
            self._ends.append(threading.Event())
            self._records.append(self._planned(plan))
            self._active[index] = time.monotonic()
            thread = LabThread(self._run, index, plan, begin, name=f"fault-{index}-{plan.kind}")
            self._threads.append(thread)
            thread.start()
        return index

    def end(self, index: int) -> None:
        """Lift a fault that is on before its time is over."""
        self._ends[index].set()

    def on(self) -> list[tuple[int, FaultPlan, float]]:
        """Return the faults that are on: number, plan, and how many seconds ago it began."""
        now = time.monotonic()
        with self._lock:
            return [(index, self._plans[index], now - since) for index, since in sorted(self._active.items())]

    def carried_out(self) -> list[tuple[FaultPlan, FaultRecord]]:
        """Return plan and record of every fault so far."""
        with self._lock:
            return list(zip(self._plans, self._records, strict=True))

    def heal(self, *, deadline_s: float = 90.0) -> list[str]:
        """Lift what is still on, start nothing more, and return which faults broke or did not come to an end.

        One that goes on has its targets in its hands: the lab has left them behind.
        """
        self._heal.set()
        until, found = time.monotonic() + deadline_s, list[str]()
        for index, thread in enumerate(self._threads):
            found += thread.end(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                self._note(index, left_behind=self._plans[index].targets)
        return found

    def records(self) -> tuple[FaultRecord, ...]:
        """Return what is known of each fault so far."""
        with self._lock:
            return tuple(self._records)

    def settled(self, till: str, for_s: float) -> bool:
        """Say whether no fault has touched a till, or what all tills share, for so long."""
        now = time.monotonic()
        with self._lock:
            for index in self._active:
                if self._touches(self._plans[index], till):
                    return False
            return now - self._touched.get(till, -1e9) >= for_s

    def _touches(self, plan: FaultPlan, till: str) -> bool:
        return till in plan.targets or any(target not in self._scenario.fleet.tills for target in plan.targets)

    def _planned(self, plan: FaultPlan) -> FaultRecord:
        stage = next((s.name for s in self._scenario.stages if s.at_s <= plan.at_s < s.ends_s), "")
        return FaultRecord(
            kind=plan.kind,
            targets=plan.targets,
            at_s=plan.at_s,
            for_s=plan.for_s,
            params={key: str(value) for key, value in plan.params.items()} | _by(plan),
            ran=False,
            evidence="not reached: the run ended before",
            stage=stage,
        )

    def _note(self, index: int, **changes: Any) -> None:
        with self._lock:
            self._records[index] = replace(self._records[index], **changes)

    def _run(self, index: int, plan: FaultPlan, begin: float) -> None:
        try:
            if self._is_due(plan, begin) and self._alone(index, plan):
                self._carry_out(index, plan)
        finally:
            with self._lock:
                self._active.pop(index, None)

    def _is_due(self, plan: FaultPlan, begin: float) -> bool:
        """Wait until a fault is to begin; False when the run ends before."""
        if self._heal.wait(max(0.0, begin + plan.at_s - time.monotonic())):
            return False
        if not plan.by_hand:
            self._control.wait_while_paused(self._heal)
        return not self._heal.is_set()

    def _alone(self, index: int, plan: FaultPlan) -> bool:
        """Wait while another fault is on the same link, for its lift would lift both; False when the run ends."""
        while True:
            with self._lock:
                others = [self._plans[other] for other in self._active if other != index]
                if not any(_on_one_link(plan, other) for other in others):
                    self._active[index] = time.monotonic()
                    return True
            if self._heal.wait(AGAIN_S):
                return False

    def _carry_out(self, index: int, plan: FaultPlan) -> None:
        try:
            made = fault(plan.kind, plan.targets, plan.params)
            obstacle = made.obstacle(self._context)
        except Exception as error:  # noqa: BLE001 - the thread's outer loop, which reports
            obstacle = _told(error)
        if obstacle is not None:
            self._note(index, evidence=f"not run: {obstacle}")
            self._say(f"fault {plan.kind} on {', '.join(plan.targets)} can't be run: {obstacle}")
            return
        self._say(
            f"fault: {plan.kind} on {', '.join(plan.targets)}"
            + (" by hand" if plan.by_hand else f" for {plan.for_s:g} s" * (plan.for_s > 0))
        )
        self._note(index, ran=True, started_ms=self._context.wall_ms(), evidence="")
        trouble = self._inflict(index, made, plan)
        broken = self._lift(index, made)
        self._judge(index, made, trouble, broken)
        with self._lock:
            shared = not set(plan.targets) <= set(self._scenario.fleet.tills)
            for till in self._scenario.fleet.tills if shared else plan.targets:
                self._touched[till] = time.monotonic()

    def _inflict(self, index: int, made: Fault, plan: FaultPlan) -> str:
        """Inject and watch until the fault's time is over; return what went wrong in the lab, if anything."""
        until = time.monotonic() + plan.for_s
        try:
            made.inject(self._context)
            while not self._heal.wait(min(OBSERVE_EVERY_S, max(0.0, until - time.monotonic()))):
                if time.monotonic() >= until or self._ends[index].is_set():
                    break
                made.observe(self._context)
        except Exception as error:  # noqa: BLE001 - the thread's outer loop, which reports
            return _told(error)
        return ""

    def _lift(self, index: int, made: Fault) -> str:
        """End a fault; return what went wrong in the lab when it can't be, if anything."""
        broken = ""
        for attempt in range(LIFTS):
            try:
                made.lift(self._context)
                break
            except Exception as error:  # noqa: BLE001 - the thread's outer loop, which reports
                if attempt + 1 == LIFTS:
                    broken = _joined(f"lifting failed: {_told(error)}", self._give_up(index, made, error))
                else:
                    time.sleep(attempt + 1)
        ended_ms = self._context.wall_ms()
        self._note(index, ended_ms=ended_ms)
        if self._plans[index].by_hand:
            started_ms = self._records[index].started_ms or ended_ms
            self._note(index, for_s=round(max(0, ended_ms - started_ms) / 1000, 2))
        return broken

    def _give_up(self, index: int, made: Fault, last: Exception) -> str:
        """Note what a fault that can't be lifted leaves behind; return what else went wrong.

        What nobody foresaw is the lab's own failure, and leaves all of its targets behind.
        """
        more = ""
        left: tuple[str, ...] = () if isinstance(last, ChaosError) else made.targets
        try:
            left += made.give_up(self._context)
        except Exception as error:  # noqa: BLE001 - the thread's outer loop, which reports
            more = _told(error)
            left += () if isinstance(error, ChaosError) else made.targets
        self._note(index, left_behind=tuple(dict.fromkeys(left)))
        return more

    def _read_back(self, made: Fault) -> Healed:
        """Ask until the lab is as it was: a till that has only just begun again may be slow to answer."""
        until = time.monotonic() + READ_BACK_S
        while not (healed := made.verify(self._context)).ok and time.monotonic() < until:
            time.sleep(OBSERVE_EVERY_S)  # each fault has a thread of its own, and this one is over
        return healed

    def _judge(self, index: int, made: Fault, trouble: str, broken: str) -> None:
        try:
            healed, bite = self._read_back(made), made.evidence(self._context)
        except Exception as error:  # noqa: BLE001 - the thread's outer loop, which reports
            why = _joined(broken, f"reading back failed: {_told(error)}")
            self._note(index, healed=False, heal_evidence=why, evidence=trouble or _told(error))
            return
        ok, text = healed.ok and not self._records[index].left_behind, _joined(broken, healed.text)
        self._note(
            index,
            bit=None if trouble else bite.bit,
            evidence=_joined(trouble, bite.text),
            healed=ok,
            heal_evidence=text,
        )
        if not ok:
            self._say(f"fault {made.kind} could not be lifted: {text}")


def _on_one_link(one: FaultPlan, other: FaultPlan) -> bool:
    return all(FAULTS[plan.kind].aim == "link" for plan in (one, other)) and bool(
        set(one.targets) & set(other.targets)
    )


def _told(error: Exception) -> str:
    name = error.code if isinstance(error, ChaosError) else type(error).__name__
    return f"{name}: {error}"


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
