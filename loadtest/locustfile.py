"""Cashiers and clerks for Locust: `locust -f loadtest/locustfile.py --help` tells the options.

By itself, against tills that are up:

    locust -f loadtest/locustfile.py --tills http://127.0.0.1:8101 --cashier 1 --pin 1234 --catalogue masters

Users may be spread over `--processes` or Locust's workers; a till's schedule still runs once. A rehearsal
names a plan file in TILLPROOF_LOAD instead of options.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any, ClassVar

import gevent
import locust
from locust import FastHttpUser, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import WorkerRunner

from loadtest.cashier import Cashier
from loadtest.clerk import Clerk
from loadtest.locust_http import LocustHttp
from loadtest.options import add_arguments, planned_file, set_planned_defaults
from loadtest.party import Party
from loadtest.plan import Plan, PlanInvalid, planned_seats, read_plan

SEAT_AGAIN_S = 2.0
SPARE_CONNECTIONS = 8
EXIT_USAGE = 2

_parties: dict[int, Party] = {}
events: Any = locust.events


class SeatUser(FastHttpUser):
    """A Locust user that takes a seat and works there; without a free seat it waits for one."""

    abstract = True
    host = "http://localhost"  # requests name their own till
    insecure = False  # tills are verified by the authorities in SSL_CERT_FILE, or the system's
    seat_kind: ClassVar[str]
    seat_class: ClassVar[type[Cashier] | type[Clerk]]

    @task
    def work(self) -> None:
        """Work through a seat's schedule."""
        party = _parties[id(self.environment)]
        seat = party.claim(self.seat_kind) if party.run is not None else None
        if seat is None or party.run is None:
            gevent.sleep(SEAT_AGAIN_S)
            return
        done = False
        try:
            seated = self.seat_class(party.run, seat, LocustHttp(self.client))
            try:
                seated.work()
                done = True
            finally:
                seated.leave()
        finally:
            party.leave(seat, done=done)
        raise StopUser


class CashierUser(SeatUser):
    """Sells at a till."""

    seat_kind = "cashier"
    seat_class = Cashier


class ClerkUser(SeatUser):
    """Edits masters in the back office."""

    seat_kind = "clerk"
    seat_class = Clerk


def _on_parser(parser: ArgumentParser, **_: Any) -> None:
    add_arguments(parser)
    path = planned_file()
    if path is not None:
        set_planned_defaults(parser, _or_exit(read_plan, path))


def _on_init(environment: Environment, **_: Any) -> None:
    party = _parties[id(environment)] = Party(environment)
    if not isinstance(environment.runner, WorkerRunner) or planned_file() is not None:
        _fit_users(environment, _or_exit(party.prepare))


def _on_test_start(environment: Environment, **_: Any) -> None:
    party = _parties[id(environment)]
    try:
        party.begin()
    except PlanInvalid as error:
        print(f"loadtest: {error}", file=sys.stderr)
        environment.process_exit_code = EXIT_USAGE
        if environment.runner is not None:
            gevent.spawn(environment.runner.stop if environment.web_ui else environment.runner.quit)
        return
    assert party.plan is not None
    _fit_users(environment, party.plan)


def _on_test_stop(environment: Environment, **_: Any) -> None:
    _parties[id(environment)].end()
    _set_exit_code(environment)


def _set_exit_code(environment: Environment, **_: Any) -> None:
    """Under a plan, what tills answered is the judge's business: the exit code is about the generator."""
    if planned_file() is not None and not environment.process_exit_code:
        environment.process_exit_code = _parties[id(environment)].exit_code


def _on_quit(**_: Any) -> None:
    for party in _parties.values():
        party.end()


def _fit_users(environment: Environment, plan: Plan) -> None:
    """Give Locust's user classes the plan's numbers: how many, how patient, how many connections."""
    cashiers, clerks = planned_seats(plan)
    for user_class, seats in ((CashierUser, cashiers), (ClerkUser, clerks)):
        user_class.network_timeout = user_class.connection_timeout = plan.sale_deadline_ms / 1000
        user_class.concurrency = plan.in_flight_max + SPARE_CONNECTIONS
        if not seats and user_class in environment.user_classes:
            environment.user_classes.remove(user_class)
    fixed = plan.start_at_ms is not None
    CashierUser.fixed_count = len(cashiers) if fixed else 0
    ClerkUser.fixed_count = len(clerks)


def _or_exit(read: Any, *arguments: Any) -> Any:
    """Call, and end the program with the message when the plan is no good."""
    try:
        return read(*arguments)
    except PlanInvalid as error:
        print(f"loadtest: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)


events.init_command_line_parser.add_listener(_on_parser)
events.init.add_listener(_on_init)
events.test_start.add_listener(_on_test_start)
events.test_stop.add_listener(_on_test_stop)
events.quitting.add_listener(_set_exit_code)
events.quit.add_listener(_on_quit)
