"""Locust's command line for a load run without a rehearsal: which tills, who sells, what, how fast.

A rehearsal gives a file instead (TILLPROOF_LOAD), and Locust's own options then follow from it.
"""

from __future__ import annotations

import os
import random
import urllib.error
import urllib.request
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import msgspec

from loadtest.plan import (
    CashierLogin,
    ClerkPlan,
    Plan,
    PlanInvalid,
    TillPlan,
    check_plan,
    planned_seats,
    read_plan,
)

PLAN_VARIABLE = "TILLPROOF_LOAD"
ASK_TIMEOUT_S = 5.0
SLACK_S = 30


def add_arguments(parser: ArgumentParser) -> None:
    """Add Tillproof's arguments to Locust's parser."""
    add: Any = parser.add_argument  # Locust's takes env_var, include_in_web_ui and is_secret as well
    hidden = {"include_in_web_ui": False}
    add("--tills", metavar="URL,...", default="", help="tills to sell at; without it the one at --host", **hidden)
    add("--cashier", metavar="ID", default="", env_var="TILLPROOF_CASHIER", help="a cashier's id", **hidden)
    add("--pin", default="", env_var="TILLPROOF_PIN", is_secret=True, help="the cashier's PIN", **hidden)
    add("--catalogue", metavar="PATH", default="", help="folder with products.csv and prices.csv", **hidden)
    add("--seed", type=int, default=None, help="decides baskets and arrival times; drawn when absent")
    add("--rate", type=float, default=1.0, metavar="PER_SECOND", help="customers per second and cashier")
    add("--out", metavar="DIR", default="", help="folder for histories and latencies [reports/load]", **hidden)
    add("--deadline-ms", type=int, default=5000, help="without an answer for so long, an outcome is unknown")
    add("--backoffice", metavar="URL", default="", help="back office to edit masters in", **hidden)
    add("--clerk", metavar="NAME", default="", help="a clerk's name, with --backoffice", **hidden)
    add("--clerk-secret", default="", env_var="TILLPROOF_CLERK_SECRET", help="the clerk's secret", **hidden)
    add("--edit-rate", type=float, default=0.5, metavar="PER_SECOND", help="documents per second and clerk")


def planned_file() -> Path | None:
    """Return the plan file that a rehearsal named, if any."""
    name = os.environ.get(PLAN_VARIABLE)
    return Path(name) if name else None


def set_planned_defaults(parser: ArgumentParser, plan: Plan) -> None:
    """Let Locust's own options follow from a plan: users, run time, CSV files."""
    cashiers, clerks = planned_seats(plan)
    seats = len(cashiers) + len(clerks)
    parser.set_defaults(
        num_users=seats,
        spawn_rate=float(max(1, seats)),
        csv_prefix=str(Path(plan.out_dir) / "locust"),
        only_summary=True,
        enable_rebalancing=True,  # the seats of a worker that is gone go to the others
    )


def options_plan(options: Namespace) -> Plan:
    """Return the plan that the command line asks for. Raises PlanInvalid, naming the option.

    Asks each till for its name, so the tills must be up.
    """
    urls = [url.strip() for url in (options.tills or options.host or "").split(",") if url.strip()]
    if not urls:
        raise PlanInvalid("--tills: no till given; name at least one, as in --tills http://127.0.0.1:8101")
    needed = {"--cashier": options.cashier, "--pin": options.pin, "--catalogue": options.catalogue}
    for option, value in needed.items():
        if not value:
            raise PlanInvalid(f"{option}: is needed to sell at a till")
    if options.backoffice and not (options.clerk and options.clerk_secret):
        raise PlanInvalid("--clerk, --clerk-secret: are needed with --backoffice")
    login = CashierLogin(cashier_id=options.cashier, pin=options.pin)
    clerks = (
        ClerkPlan(
            name=options.clerk, secret=options.clerk_secret, url=options.backoffice, rate_per_s=options.edit_rate
        ),
    )
    plan = Plan(
        seed=random.SystemRandom().randrange(2**31) if options.seed is None else options.seed,
        out_dir=options.out or "reports/load",
        catalogue=options.catalogue,
        tills=tuple(
            TillPlan(name=till_name(url), url=url, rate_per_s=options.rate, cashiers=(login,)) for url in urls
        ),
        clerks=clerks if options.backoffice else (),
        sale_deadline_ms=options.deadline_ms,
    )
    check_plan(plan, source="command line")
    return plan


def till_name(url: str) -> str:
    """Return the name of the till at an address. Raises PlanInvalid."""
    if not url.startswith(("http://", "https://")):
        raise PlanInvalid(f"--tills: {url!r} is no http:// or https:// address")
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/v1/status", timeout=ASK_TIMEOUT_S) as answer:  # noqa: S310
            return str(msgspec.json.decode(answer.read())["till"])
    except (urllib.error.URLError, OSError) as error:
        raise PlanInvalid(f"--tills: {url} doesn't answer: {getattr(error, 'reason', error)}") from error
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise PlanInvalid(f"--tills: {url} answers, but not as a till") from error


def wanted_plan(options: Namespace) -> Plan:
    """Return the rehearsal's plan, or else the command line's. Raises PlanInvalid."""
    path = planned_file()
    return read_plan(path) if path else options_plan(options)
