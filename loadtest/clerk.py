"""A back-office clerk: writes documents on an open schedule, and asks again when unsure."""

from __future__ import annotations

import time

import gevent

from loadtest.edits import Desk, Edit, draw_edit
from loadtest.history import now_ms
from loadtest.load_run import LoadRun
from loadtest.offices import Offices
from loadtest.operations import Completion, Http, Operation, operation_id, repeat_delay_s
from loadtest.plan import Seat
from loadtest.seat_work import SeatWork

BACK_OFFICE = "backoffice"
SECURE_TRIES = 3


class Clerk:
    """One desk in the back office."""

    def __init__(self, run: LoadRun, seat: Seat, http: Http) -> None:
        self._run = run
        self._plan = run.plan
        person = run.plan.clerks[seat.place % len(run.plan.clerks)]
        self._stream = f"clerk|{seat.index}"
        self._desk = Desk()
        self._performer = Offices(
            http=http,
            urls=(person.url, *person.spare_urls),
            credential={"kind": "clerk", "name": person.name, "secret": person.secret},
            history=run.history("clerk"),
            samples=run.samples,
            deadline_ms=run.plan.sale_deadline_ms,
        )
        self._work = SeatWork(
            run,
            self._performer,
            name=self._stream,
            till=BACK_OFFICE,
            rate_per_s=person.rate_per_s,
            again=seat.again,
        )

    def work(self) -> None:
        """Follow the schedule to its end."""
        self._work.follow_schedule(self._serve)

    def leave(self) -> None:
        """Give a document in flight the time to be answered, then stop."""
        self._work.settle(0)

    def _serve(self, n: int, due_s: float) -> None:
        plan = self._plan
        op_id = operation_id(self._run.run_key, self._stream, n)
        edit = draw_edit(
            seed=plan.seed, stream=self._stream, n=n, mark=op_id, catalogue=self._run.catalogue, pairs=plan.pairs,
            desk=self._desk, now_ms=now_ms(), repeat_share=plan.mix.repeat_ok, factors=plan.edits,
        )  # fmt: skip
        operation = Operation(
            f=edit.f, op_id=op_id, till=BACK_OFFICE, url=f"{self._performer.url}/v1/{edit.path}", body=edit.doc,
            asked={"doc": edit.doc},
        )  # fmt: skip
        completion = self._performer.perform(operation, due_s=due_s)
        if completion.outcome.type == "ok":
            self._desk.remember(edit)
            if edit.repeat:
                self._work.afterwards(self._work.repeat, operation, edit.repeat_after_ms)
            if at_risk(completion):
                self._work.afterwards(self._secure, operation)
        elif operation.unknown:
            self._work.afterwards(self._ask_again, operation, edit)

    def _ask_again(self, operation: Operation, edit: Edit) -> None:
        self._work.ask_until_answered(operation, lambda _: self._desk.remember(edit))

    def _secure(self, operation: Operation) -> None:
        """Ask again for a document that only one server has yet, until another has it too, a few times."""
        for tries in range(1, SECURE_TRIES + 1):
            gevent.sleep(repeat_delay_s(tries))
            completion = self._performer.perform(operation, due_s=time.monotonic())
            if completion.outcome.type == "ok" and not at_risk(completion):
                return


def at_risk(completion: Completion) -> bool:
    """Return whether a document is kept by one server only: a failover now would lose it."""
    return completion.answer.get("status") == "at_risk"
