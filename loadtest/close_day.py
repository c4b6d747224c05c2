"""Close the business day on every till of a plan: `python -m loadtest.close_day --plan load.json`.

The cash counted is what the cashiers' histories say is in the drawer, so that the Z is checked against a
count that doesn't come from the till. Writes history worker d0 and prints a line per till.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from loadtest.history import History
from loadtest.latency import Samples
from loadtest.operations import Completion, Login, Operation, Performer, operation_id, repeat_delay_s
from loadtest.plain_http import PlainHttp
from loadtest.plan import Plan, PlanInvalid, TillPlan, read_plan

CASH = "cash"
EXIT_NOT_CLOSED = 1


def cash_in_drawer(lines: Iterable[Mapping[str, Any]], *, float_cash: int) -> dict[str, int]:
    """Return the cash by till after a history: the float, and what ok receipts put in or took out.

    A payment without an amount takes the rest of the gross; a void gives back what its receipt took.
    """
    drawer: dict[str, int] = {}
    baskets: dict[str, Mapping[str, Any]] = {}
    cash_of: dict[str, int] = {}
    counted: set[str] = set()
    for line in lines:
        op_id = line.get("op_id", "")
        if line["type"] == "invoke" and not line.get("edited") and "basket" in line:
            baskets[op_id] = line["basket"]
        elif line["type"] == "ok" and line["f"] == "open":
            drawer[line["till"]] = drawer.get(line["till"], 0) + (float_cash if op_id not in counted else 0)
            counted.add(op_id)
        elif line["type"] == "ok" and op_id in baskets and op_id not in counted:
            counted.add(op_id)
            cash = _cash_of(line, baskets[op_id], cash_of)
            cash_of[line["receipt_no"]] = cash
            drawer[line["till"]] = drawer.get(line["till"], 0) + cash
    return drawer


def _cash_of(line: Mapping[str, Any], basket: Mapping[str, Any], cash_of: Mapping[str, int]) -> int:
    if line["f"] == "void":
        return -cash_of.get(basket["receipt_no"], 0)
    sign = -1 if line["f"] == "refund" else 1
    given: dict[str, int | None] = {payment["tender"]: payment["amount"] for payment in basket["payments"]}
    rest = abs(int(line["gross"])) - sum(amount for amount in given.values() if amount is not None)
    cash = given.get(CASH, 0)
    return sign * (rest if cash is None else cash)


def read_histories(folder: Path) -> list[dict[str, Any]]:
    """Return all cashiers' history lines in order of their time; a torn last line is left out."""
    lines: list[dict[str, Any]] = []
    for path in sorted(folder.glob("history-c*.jsonl")):
        for raw in path.read_bytes().split(b"\n")[:-1]:
            lines.append(msgspec.json.decode(raw))
    return sorted(lines, key=lambda line: line.get("at_ms", 0))


def close_till(plan: Plan, till: TillPlan, history: History, *, counted_cash: int) -> Completion:
    """Close the day on one till, asking again while the outcome is unknown, up to the plan's grace."""
    http = PlainHttp(timeout_s=plan.sale_deadline_ms / 1000)
    url = till.url.rstrip("/")
    person = till.cashiers[0]
    login = Login(http, url=f"{url}/v1/session", credential={"cashier_id": person.cashier_id, "pin": person.pin})
    performer = Performer(
        http=http, login=login, history=history, samples=Samples(), deadline_ms=plan.sale_deadline_ms
    )
    asked = {"counted_cash": counted_cash}
    operation = Operation(
        f="close", op_id=operation_id(plan.run_key, till.name, "close", time.time_ns()), till=till.name,
        url=f"{url}/v1/day/close", body=asked, asked=asked,
    )  # fmt: skip
    until_s = time.monotonic() + plan.grace_s
    completion = performer.perform(operation, due_s=time.monotonic())
    while operation.unknown and time.monotonic() < until_s:
        time.sleep(repeat_delay_s(operation.attempts))
        completion = performer.perform(operation, due_s=time.monotonic())
    http.close()
    return completion


@click.command()
@click.option("--plan", "path", type=click.Path(path_type=Path), required=True, help="the load run's plan file")
@click.option("--till", "names", multiple=True, help="only this till; may be given several times")
def main(path: Path, names: tuple[str, ...]) -> None:
    """Close the business day on the tills of a load run, with the cash that its histories count."""
    try:
        plan = read_plan(path)
    except PlanInvalid as error:
        raise click.UsageError(str(error)) from error
    unknown = set(names) - {till.name for till in plan.tills}
    if unknown:
        raise click.UsageError(f"--till {min(unknown)}: not in {path}")
    folder = Path(plan.out_dir)
    drawer = cash_in_drawer(read_histories(folder), float_cash=plan.float_cash)
    history = History(folder, "d0")
    not_closed = 0
    for till in plan.tills:
        if names and till.name not in names:
            continue
        counted = drawer.get(till.name, plan.float_cash)
        completion = close_till(plan, till, history, counted_cash=counted)
        outcome = completion.outcome
        not_closed += outcome.type != "ok"
        told = f"gross {completion.answer.get('gross')}" if outcome.type == "ok" else outcome.code
        click.echo(f"{till.name}: {outcome.type}, {told}, counted cash {counted}")
    history.end()
    sys.exit(EXIT_NOT_CLOSED if not_closed else 0)


if __name__ == "__main__":
    main()
