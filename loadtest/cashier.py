"""A cashier at a till: opens the day, looks prices up, sells, refunds, voids, and asks again when unsure."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import gevent
import msgspec

from loadtest.baskets import (
    Customer,
    Paper,
    Price,
    draw_customer,
    edited_basket,
    refund_basket,
    sale_basket,
)
from loadtest.load_run import LoadRun
from loadtest.operations import Completion, Http, Login, Operation, Performer, operation_id
from loadtest.outcomes import UNBALANCED, Reply
from loadtest.plan import Seat
from loadtest.seat_work import SeatWork

OPEN_RETRY_S = 0.5
PAIR_SAMPLE_EVERY_S = 1.0


class PriceAnswer(msgspec.Struct, frozen=True):
    """A till's answer to a price look-up, as far as a cashier reads it."""

    sku: str
    unit_price: int
    tax_rate_bp: int
    at_ms: int


_prices = msgspec.json.Decoder(list[PriceAnswer])


class Cashier:
    """One seat at one till."""

    def __init__(self, run: LoadRun, seat: Seat, http: Http) -> None:
        self._run = run
        self._seat = seat
        self._http = http
        self._plan = run.plan
        till = run.plan.tills[seat.place]
        self._till = till.name
        self._url = till.url.rstrip("/")
        person = till.cashiers[seat.slot % len(till.cashiers)]
        login = Login(
            http,
            url=f"{self._url}/v1/session",
            credential={"cashier_id": person.cashier_id, "pin": person.pin},
        )
        self._performer = Performer(
            http=http, login=login, history=run.history("cashier"), samples=run.samples,
            deadline_ms=run.plan.sale_deadline_ms, by=person.cashier_id,
        )  # fmt: skip
        rate_per_s = till.rate_per_s / len(till.cashiers)
        self._stream = f"{till.name}|{seat.slot}"
        self._work = SeatWork(
            run,
            self._performer,
            name=self._stream,
            till=till.name,
            rate_per_s=rate_per_s,
            again=seat.again,
            shape=run.plan.shape,
            visits=[visit.at_s for visit in run.plan.visits if visit.till == till.name and seat.slot == 0],
        )

    def work(self) -> None:
        """Open the day if this is the till's first seat, then follow the schedule to its end."""
        if self._seat.slot == 0:
            self._work.afterwards(self._open_day)
            if self._plan.pairs:
                self._work.afterwards(self._sample_pairs)
        if self._plan.start_at_ms is None:
            self._await_open()
        self._work.follow_schedule(self._serve)

    def leave(self) -> None:
        """Give a customer in flight the time to be answered, then stop."""
        self._work.settle(0)

    def _serve(self, n: int, due_s: float) -> None:
        plan = self._plan
        customer = draw_customer(
            seed=plan.seed, stream=self._stream, n=n, catalogue=self._run.catalogue, mix=plan.mix
        )
        if customer.kind == "lookup":
            self._look_up([customer.wants[0].sku], due_s)
            return
        if customer.kind in ("refund", "void"):
            foreign = customer.foreign and customer.kind == "refund"
            paper = self._run.papers.take(till=self._till, back=customer.back, foreign=foreign)
            if paper is not None:
                self._give_back(customer, paper, n, due_s)
                return
        self._sell(customer, n, due_s)

    def _sell(self, customer: Customer, n: int, due_s: float) -> None:
        """Ask the prices, then sell; once more, as a new operation, if a price changed in between."""
        for attempt in range(2):
            prices = self._look_up([want.sku for want in customer.wants], due_s)
            due_s += customer.scan_ms / 1000
            self._work.sleep_until(due_s)
            basket = sale_basket(customer, prices)
            operation = self._operation("sale", n, basket, attempt=attempt)
            completion = self._perform(operation, customer, basket, due_s)
            if completion.outcome.code != UNBALANCED:
                return
            due_s = time.monotonic()

    def _give_back(self, customer: Customer, paper: Paper, n: int, due_s: float) -> None:
        if customer.kind == "void":
            basket: dict[str, Any] = {"receipt_no": paper.receipt_no}
        else:
            basket = refund_basket(customer, paper)
        self._perform(self._operation(customer.kind, n, basket), customer, basket, due_s)

    def _operation(self, f: str, n: int, basket: Mapping[str, Any], attempt: int = 0) -> Operation:
        asked: dict[str, Any] = {"basket": basket} if attempt == 0 else {"basket": basket, "requoted": True}
        return Operation(
            f=f,
            op_id=operation_id(self._run.run_key, self._stream, n, attempt),
            till=self._till,
            url=f"{self._url}/v1/{f}s",
            body=basket,
            asked=asked,
        )

    def _perform(
        self, operation: Operation, customer: Customer, basket: Mapping[str, Any], due_s: float
    ) -> Completion:
        completion = self._performer.perform(operation, due_s=due_s)
        if completion.outcome.type == "ok":
            self._remember(operation, completion)
            if customer.repeat:
                self._work.afterwards(self._work.repeat, operation, customer.repeat_after_ms)
            if customer.edited and operation.f == "sale":
                edited = edited_basket(basket)
                self._work.afterwards(self._work.repeat, operation, customer.repeat_after_ms, edited)
        elif completion.outcome.type == "info":
            self._work.afterwards(
                self._work.ask_until_answered, operation, lambda answered: self._remember(operation, answered)
            )
        return completion

    def _remember(self, operation: Operation, completion: Completion) -> None:
        """Keep an ok sale's receipt for a later refund or void."""
        answer = completion.answer
        if operation.f == "sale" and answer.get("receipt_no") and answer.get("lines"):
            self._run.papers.keep(
                Paper(till=self._till, receipt_no=answer["receipt_no"], lines=tuple(answer["lines"]))
            )

    def _look_up(self, skus: list[str], due_s: float, name: str = "lookup") -> dict[str, Price]:
        return {
            answer.sku: Price(unit_price=answer.unit_price, tax_rate_bp=answer.tax_rate_bp)
            for answer in self._price_answers(skus, due_s, name)
        }

    def _price_answers(self, skus: list[str], due_s: float, name: str) -> list[PriceAnswer]:
        query = "&".join(f"sku={quote(sku, safe='')}" for sku in skus)
        reply = self._performer.ask(f"{self._url}/v1/prices?{query}", name=name, till=self._till, due_s=due_s)
        if reply.status != 200:
            return []
        try:
            return _prices.decode(reply.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return []

    def _open_day(self) -> None:
        """Open the till's business day unless it is open; an unknown outcome is asked for again."""
        number = 0
        operation: Operation | None = None
        while (operation is not None and operation.unknown) or not self._is_open():
            if operation is None or not operation.unknown:
                asked = {"business_date": self._run.business_date, "float_cash": self._plan.float_cash}
                operation = Operation(
                    f="open", op_id=operation_id(self._run.run_key, self._stream, "open", number), till=self._till,
                    url=f"{self._url}/v1/day/open", body=asked, asked=asked,
                )  # fmt: skip
                number += 1
            if self._performer.perform(operation, due_s=time.monotonic()).outcome.type == "ok":
                return
            gevent.sleep(OPEN_RETRY_S)

    def _is_open(self) -> bool:
        reply: Reply = self._http(
            "GET", f"{self._url}/v1/status", name="status", body=None, token=None, due_s=time.monotonic(),
            expected=200,
        )  # fmt: skip
        try:
            return bool(msgspec.json.decode(reply.body)["day"]["open"]) if reply.status == 200 else False
        except (msgspec.DecodeError, KeyError, TypeError):
            return False

    def _await_open(self) -> None:
        """Wait a moment for the day to be opened; sell anyway afterwards, and be refused."""
        until_s = time.monotonic() + 2 * self._run.deadline_s
        while time.monotonic() < until_s and not self._is_open():
            gevent.sleep(OPEN_RETRY_S / 2)

    def _sample_pairs(self) -> None:
        """Look at one pair of prices that belong together every second, in one request."""
        rng = random.Random(f"{self._plan.seed}|pairs|{self._stream}")  # noqa: S311 - reproducible on purpose
        file = self._run.pair_samples()
        due_s = self._run.begin_s() + PAIR_SAMPLE_EVERY_S * rng.random()
        end_s = None if self._plan.duration_s is None else self._run.begin_s() + self._plan.duration_s
        while end_s is None or due_s < end_s:
            self._work.sleep_until(due_s)
            a, b, _ = self._plan.pairs[int(rng.random() * len(self._plan.pairs))]
            answers = {answer.sku: answer for answer in self._price_answers([a, b], time.monotonic(), "pair")}
            if a in answers and b in answers:
                file.add(
                    till=self._till, at_ms=answers[a].at_ms, pair=f"{a}+{b}",
                    a=answers[a].unit_price, b=answers[b].unit_price,
                )  # fmt: skip
            due_s = max(due_s + PAIR_SAMPLE_EVERY_S, time.monotonic())
