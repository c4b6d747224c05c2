"""Closing the day at every till, as its cashier would: counted cash in, Z report out.

Written down like every other operation, by worker d0; an unknown outcome is asked for again under its op id.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from loadtest.history import History
from rehearsal.drive.till_api import Refused, cashier_session
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.staging.shop import Shop
from rehearsal.witness import Witness

FLOAT_CASH = 20_000
ATTEMPTS = 15
RETRY_S = 1.0
CASH_SQL = (
    "SELECT coalesce(sum(p.amount), 0) FROM payment p"
    " JOIN receipt r ON r.incarnation = p.incarnation AND r.seq = p.seq"
    " WHERE p.tender = 'cash' AND r.business_date = (SELECT business_date FROM till)"
)


def close_day(shop: Shop, witness: Witness, history: History, tills: Sequence[str]) -> list[str]:
    """Close the open day at each till; returns what did not work, as sentences."""
    trouble = []
    for till in tills:
        try:
            if not witness.till(till).day_open:
                trouble.append(f"{till} has no open day to close")
                continue
            counted = FLOAT_CASH + int(witness.till_rows(till, CASH_SQL)[0][0])
        except WitnessUnreadable as error:
            trouble.append(f"{till} can't be read before the close: {error}")
            continue
        outcome, text = _close(shop, history, till, counted)
        if outcome != "ok":
            trouble.append(f"{till} did not close its day: {text}")
    return trouble


def _close(shop: Shop, history: History, till: str, counted: int) -> tuple[str, str]:
    op_id, begun = uuid.uuid4().hex, time.monotonic()
    outcome, text = "info", "not tried"
    for attempt in range(ATTEMPTS):
        of = history.invoke(f="close", op_id=op_id, till=till, asked={"counted_cash": counted}, repeat=attempt > 0)
        outcome, more = _ask(shop, till, {"op_id": op_id, "counted_cash": counted})
        ms = (time.monotonic() - begun) * 1000
        history.complete(outcome, of=of, f="close", op_id=op_id, till=till, ms=ms, more=more)
        text = str(more.get("code", ""))
        if outcome != "info":
            break
        time.sleep(RETRY_S)
    return outcome, text


def _ask(shop: Shop, till: str, body: dict[str, object]) -> tuple[str, dict[str, object]]:
    who = shop.catalogue.cashiers[-1]
    try:
        session = cashier_session(shop.url(till), cashier_id=who.cashier_id, pin=who.pin)
        return "ok", {"z": session.post("/v1/day/close", body)}
    except Refused as error:
        return ("fail" if error.definite else "info"), {"code": error.code or str(error)}
