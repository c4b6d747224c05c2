"""The load run inside Locust: plan, seats and samples, in a lone process, a master or a worker.

The master holds the seat book and the latency book; workers ask for seats by message and send samples along
with Locust's own statistics. Workers on other machines also get the plan and send their histories that way.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gevent
import msgspec
from gevent.event import AsyncResult
from locust.env import Environment
from locust.runners import STATE_MISSING, WORKER_REPORT_INTERVAL, MasterRunner, WorkerRunner

from loadtest.catalogue import read_catalogue
from loadtest.latency import LatencyBook, Samples
from loadtest.load_run import LoadRun
from loadtest.options import planned_file, wanted_plan
from loadtest.plan import Plan, PlanInvalid, Seat
from loadtest.remote import Tail, append, expect, own_folder, packed, unpacked
from loadtest.seats import SeatBook

logger = logging.getLogger(__name__)
CLAIM, SEAT, LEAVE = "tillproof_claim", "tillproof_seat", "tillproof_leave"
PLAN = "tillproof_plan"
REPORT_KEY = "tillproof"
FILES_KEY = "tillproof_files"
CLAIM_TIMEOUT_S = 10.0
MERGE_EVERY_S = 1.0
ALONE = "alone"
EXIT_BROKEN = 3


class Party:
    """One process's share of the load run."""

    def __init__(self, environment: Environment) -> None:
        assert environment.runner is not None
        self._environment = environment
        self._runner: Any = environment.runner
        self._is_worker = isinstance(self._runner, WorkerRunner)
        self._is_master = isinstance(self._runner, MasterRunner)
        self._samples = Samples()
        self._book = LatencyBook()
        self._seats: SeatBook | None = None
        self._answers: dict[str, AsyncResult[Any]] = {}
        self._leaving = False
        self._tail: Tail | None = None
        self._sent: bytes | None = None
        self._receives = False
        own = environment.parsed_options  # the master's replace them when a test starts
        self._folders = (getattr(own, "out", "") or "", getattr(own, "catalogue", "") or "")
        self.plan: Plan | None = None
        self.run: LoadRun | None = None
        self._listen()

    def prepare(self) -> Plan:
        """Read the plan, or take the one that the master sent. Raises PlanInvalid."""
        if self._sent is not None:
            out_dir, catalogue = self._folders
            self.plan = unpacked(self._sent, out_dir=out_dir, catalogue=catalogue)
            return self.plan
        assert self._environment.parsed_options is not None
        self.plan = wanted_plan(self._environment.parsed_options)
        return self.plan

    def begin(self) -> None:
        """Open the run's files and seats; called when Locust starts a test. Raises PlanInvalid."""
        plan = self.prepare()
        if not self._is_worker:
            self._seats = SeatBook(plan)
            self._book = LatencyBook()
            self._leaving = False
        if self._is_master and planned_file() is not None:
            self._runner.send_message(
                PLAN, packed(plan)
            )  # before Locust tells them to start; who has it, ignores it
        if not self._is_master:
            index = getattr(self._runner, "worker_index", 0) if self._is_worker else 0
            if index < 0:
                raise PlanInvalid("this Locust master is too old to number its workers; use 2.11 or newer")
            if self._sent is not None:
                self._tail = self._tail or Tail(own_folder(plan, index))
                plan = self.plan = msgspec.structs.replace(plan, out_dir=str(self._tail.folder))
            self.run = LoadRun(
                plan, read_catalogue(Path(plan.catalogue)), worker_index=index, samples=self._samples
            )
        if not (self._is_master or self._is_worker):
            gevent.spawn(self._merge_own)

    def end(self) -> None:
        """Close the histories and write the latencies; called when a test stops, and again on quitting."""
        if self.run is not None:
            self.run.close()
        if not self._is_worker and self.plan is not None:
            self._book.merge(self._samples.take())
            if self._book.changed:
                self._book.write(Path(self.plan.out_dir))

    @property
    def exit_code(self) -> int:
        """0 when the generator itself did its work, whatever the tills answered."""
        broken = self.run is not None and self.run.broken
        return EXIT_BROKEN if broken or self._runner.exceptions else 0

    def claim(self, kind: str) -> Seat | None:
        """Return a free seat for a Locust user of this process, or None."""
        if self._seats is not None:
            return self._given(self._seats.claim(kind, ALONE), 0)
        ask = secrets.token_hex(8)
        answer: AsyncResult[Any] = AsyncResult()
        self._answers[ask] = answer
        try:
            self._runner.send_message(CLAIM, {"ask": ask, "kind": kind})
            fields = answer.get(timeout=CLAIM_TIMEOUT_S)
        except gevent.Timeout:
            return None
        finally:
            del self._answers[ask]
        return None if fields is None else Seat(**fields)

    def leave(self, seat: Seat, *, done: bool) -> None:
        """Give a seat back; when every seat of a fixed schedule is done, the test ends."""
        if self._seats is not None:
            self._seats.leave(seat.kind, seat.index, ALONE, done=done)
            self._end_when_done()
        else:
            self._runner.send_message(LEAVE, {"kind": seat.kind, "index": seat.index, "done": done})

    def _listen(self) -> None:
        events: Any = self._environment.events
        if self._is_master:
            self._runner.register_message(CLAIM, self._on_claim)
            self._runner.register_message(LEAVE, self._on_leave)
            events.worker_report.add_listener(self._on_worker_report)
        elif self._is_worker:
            self._runner.register_message(SEAT, self._on_seat)
            self._runner.register_message(PLAN, self._on_plan)
            events.report_to_master.add_listener(self._on_report_to_master)

    def _on_claim(self, environment: Environment, msg: Any, **_: Any) -> None:
        del environment
        seat = None
        if self._seats is not None:
            present = {client.id for client in self._runner.clients.all if client.state != STATE_MISSING}
            self._seats.keep_owners(present)
            index = self._runner.get_worker_index(msg.node_id)
            seat = self._given(self._seats.claim(msg.data["kind"], msg.node_id), index)
        fields = None
        if seat is not None:
            fields = asdict(seat)
        self._runner.send_message(SEAT, {"ask": msg.data["ask"], "seat": fields}, msg.node_id)

    def _on_leave(self, environment: Environment, msg: Any, **_: Any) -> None:
        del environment
        if self._seats is not None:
            self._seats.leave(msg.data["kind"], msg.data["index"], msg.node_id, done=msg.data["done"])
            self._end_when_done()

    def _on_seat(self, environment: Environment, msg: Any, **_: Any) -> None:
        del environment
        answer = self._answers.get(msg.data["ask"])
        if answer is not None:
            answer.set(msg.data["seat"])
        elif msg.data["seat"] is not None:  # too late: nobody waits for it any more
            self.leave(Seat(**msg.data["seat"]), done=False)

    def _on_report_to_master(self, client_id: str, data: dict[str, Any]) -> None:
        del client_id
        data[REPORT_KEY] = self._samples.take()
        if self._tail is not None:
            data[FILES_KEY] = self._tail.take()

    def _on_worker_report(self, client_id: str, data: dict[str, Any]) -> None:
        self._book.merge(data.pop(REPORT_KEY, ()))
        pieces = data.pop(FILES_KEY, None)
        if pieces and self.plan is not None:
            self._receives = True
            try:
                append(Path(self.plan.out_dir), pieces)
            except ValueError as error:
                logger.warning("worker %s: %s", client_id, error)

    def _on_plan(self, environment: Environment, msg: Any, **_: Any) -> None:
        del environment
        if planned_file() is None and msg.data != self._sent:
            self._sent, self._tail = msg.data, None

    def _given(self, seat: Seat | None, worker_index: int) -> Seat | None:
        """Note whose history a seat will be in."""
        if seat is not None and self.plan is not None:
            letter = "c" if seat.kind == "cashier" else "b"
            expect(Path(self.plan.out_dir), f"{letter}{worker_index}")
        return seat

    def _merge_own(self) -> None:
        while self._runner.state not in ("stopped", "stopping"):
            gevent.sleep(MERGE_EVERY_S)
            self._book.merge(self._samples.take())

    def _end_when_done(self) -> None:
        if self._seats is not None and self._seats.all_done and not self._leaving:
            self._leaving = True
            logger.info("every seat has worked through its schedule")
            gevent.spawn(self._runner.stop if self._environment.web_ui else self._leave_all)

    def _leave_all(self) -> None:
        """End everything; workers that send their histories stop first and get the time for it."""
        if self._receives:
            self._runner.stop()
            gevent.sleep(WORKER_REPORT_INTERVAL + MERGE_EVERY_S)
        self._runner.quit()
