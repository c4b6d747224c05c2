"""What can be done by hand to a shop that sells. All of it goes on record."""

from __future__ import annotations

import time
from collections.abc import Callable

from chaos.errors import FaultInvalid
from rehearsal.drive.control import Control
from rehearsal.drive.till_api import Refused, cashier_session
from rehearsal.drive.watching import Selling
from rehearsal.plan.scenario import FaultPlan

NOTE_CHARS_MAX = 500
SYNC_TIMEOUT_S = 35.0


class NotPossible(Exception):
    """What was asked for can't be done now; the message says why."""


class Hands:
    """Carries out what is asked for on the page; called from its threads."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self.selling: Selling | None = None

    def do(self, what: str, target: str = "", text: str = "") -> str:
        """Do it and return what came of it; raises NotPossible."""
        known: dict[str, Callable[[str, str], str]] = {
            "halt": self._halt, "pause": self._pause, "resume": self._resume, "note": self._note,
            "cut": self._begin("cut"), "heal": self._end("cut"), "kill": self._begin("kill"),
            "restart": self._end("kill"), "end": self._end(""), "sync": self._sync,
            "promote": self._promote,
        }  # fmt: skip
        if what not in known:
            raise NotPossible(f"there is no {what!r}; there is {', '.join(known)}")
        return known[what](target, text)

    def _halt(self, _target: str, _text: str) -> str:
        self._now()
        self._control.note("halt and heal")
        self._control.halt()
        return "the selling ends; everything is healed, settled and judged"

    def _pause(self, _target: str, _text: str) -> str:
        self._now()
        self._control.note("pause the schedule")
        self._control.pause()
        return "no fault of the schedule begins until it goes on; the cashiers go on selling"

    def _resume(self, _target: str, _text: str) -> str:
        self._now()
        self._control.note("resume the schedule")
        self._control.resume()
        return "the schedule goes on"

    def _note(self, _target: str, text: str) -> str:
        said = " ".join(text.split())
        if not said or len(said) > NOTE_CHARS_MAX:
            raise NotPossible(f"a note has 1 to {NOTE_CHARS_MAX} characters")
        self._control.note("note", text=said)
        return "noted"

    def _begin(self, kind: str) -> Callable[[str, str], str]:
        def begin(target: str, _text: str) -> str:
            selling = self._now()
            nodes = selling.scenario.fleet.tills if kind == "cut" else _killable(selling)
            if target not in nodes:
                raise NotPossible(f"{kind} is for {', '.join(nodes)}, not for {target!r}")
            second = max(0.0, time.monotonic() - selling.begin)
            left_s = max(0.0, selling.scenario.load.duration_s - second)
            plan = FaultPlan(kind=kind, targets=(target,), at_s=round(second, 2), for_s=left_s, by_hand=True)
            try:
                selling.faults.begin_now(plan, selling.begin)
            except FaultInvalid as error:
                raise NotPossible(str(error)) from error
            self._control.note(kind, (target,))
            return f"{kind} on {target}"

        return begin

    def _end(self, kind: str) -> Callable[[str, str], str]:
        def end(target: str, _text: str) -> str:
            selling = self._now()
            for index, plan, _ in selling.faults.on():
                if target in plan.targets and kind in ("", plan.kind):
                    self._control.note(f"end {plan.kind}", plan.targets)
                    selling.faults.end(index)
                    return f"{plan.kind} on {', '.join(plan.targets)} is being lifted"
            raise NotPossible(f"there is no {kind or 'fault'} on {target}")

        return end

    def _sync(self, target: str, _text: str) -> str:
        selling = self._now()
        if target not in selling.shop.tills:
            raise NotPossible(f"sync is for {', '.join(selling.shop.tills)}, not for {target!r}")
        who = selling.shop.catalogue.cashiers[-1]
        try:
            session = cashier_session(selling.shop.url(target), cashier_id=who.cashier_id, pin=who.pin)
            answer = session.post("/v1/sync", {"what": "all"}, timeout_s=SYNC_TIMEOUT_S)
        except Refused as error:
            answer = {"error": str(error)}
        said = f"up to {answer['up']['acked']}" if answer.get("ok") else str(answer.get("error"))
        self._control.note("manual sync", (target,), said)
        if not answer.get("ok"):
            raise NotPossible(f"{target} did not sync: {said}")
        return f"{target} synced, {said}"

    def _promote(self, target: str, _text: str) -> str:
        selling = self._now()
        if len(selling.shop.sides) == 1:
            raise NotPossible("there is no standby: the scenario has no preproduction server")
        if target not in {side.server for side in selling.shop.sides} - {selling.operator.live().server}:
            raise NotPossible(f"{target!r} is not the standby")
        done, said = selling.operator.promote_by_hand()
        self._control.note("promote", (target,), said)
        if not done:
            raise NotPossible(said)
        return said

    def _now(self) -> Selling:
        if self.selling is None or self._control.halted:
            raise NotPossible("the shop does not sell now")
        return self.selling


def _killable(selling: Selling) -> tuple[str, ...]:
    return (*selling.scenario.fleet.tills, *(side.server for side in selling.shop.sides))
