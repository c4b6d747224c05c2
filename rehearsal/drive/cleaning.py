"""Cleaning tills between two stages, as a technician does: close the day, clean, start, open the next day.

Keeps: what was not safe goes into an export that the server imports, so that nothing is lost on the way. A till
whose cleaning failed is started again as it is, and named: what it shows then is not its own.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from chaos.errors import ChaosError, FaultFailed
from chaos.waiting import wait_until
from loadtest.history import History
from rehearsal.drive.till_api import Refused, cashier_session
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.model import Cleaned
from rehearsal.settle.closing import FLOAT_CASH, close_day
from rehearsal.staging.shop import Shop, import_step, loaded, provision_step
from rehearsal.witness import Witness

LOADED_S = 120.0
WAIT_S = "8"
ATTEMPTS = 10
HISTORY = "d3"

Say = Callable[[str], None]


class Cleaning:
    """The tills that were cleaned in a run; used by one thread at a time."""

    def __init__(self, shop: Shop, witness: Witness, *, parts: Path, business_date: str, say: Say) -> None:
        self._shop = shop
        self._witness = witness
        self._parts = parts
        self._date = business_date
        self._say = say
        self._history: History | None = None
        self.done: list[Cleaned] = []
        self.undone: list[str] = []

    def clean(self, till: str) -> str:
        """Clean a till and let it sell on the next date; return what was done. Raises ChaosError."""
        if self._history is None:
            self._history = History(self._parts, HISTORY)
        trouble = close_day(self._shop, self._witness, self._history, [till])
        if trouble:
            raise FaultFailed("; ".join(trouble))
        before = self._witness.till(till)
        today = next((one.next_date for one in reversed(self.done) if one.till == till), self._date)
        fleet = self._shop.fleet
        fleet.stop(till)
        at_ms = time.time_ns() // 1_000_000
        try:
            told = self._emptied(till)
        except (ChaosError, WitnessUnreadable):
            self.undone.append(till)
            with suppress(ChaosError):
                fleet.start(till)
            raise
        fleet.start(till)
        if not wait_until(lambda: loaded(fleet, till), LOADED_S):
            raise FaultFailed(f"{till} has no masters {LOADED_S:g} s after it was cleaned")
        tomorrow = (date.fromisoformat(today) + timedelta(days=1)).isoformat()
        open_day(self._shop, till, tomorrow, self._history)
        self.done.append(
            Cleaned(
                till=till, at_ms=at_ms, incarnation=before.incarnation, head=before.head,
                date=today, next_date=tomorrow,
            )
        )  # fmt: skip
        return f"{till} cleaned of {before.head} entries, sells on {tomorrow}" + (
            ", what was not safe exported and imported" if "exported" in told else ""
        )

    def _emptied(self, till: str) -> str:
        """Clean a stopped till, and let the server import what was not safe; return what was said."""
        fleet = self._shop.fleet
        export = fleet.dir(till) / f"{uuid.uuid4().hex}.export"
        told = fleet.run_step(
            provision_step(fleet, till, clean=("--clean", "--wait", WAIT_S, "--export", str(export)))
        )
        if export.exists():
            told += fleet.run_step(import_step(fleet, self._witness.live(), till, export))
        return told

    def end(self) -> tuple[Cleaned, ...]:
        """Close the history, and return what was cleaned."""
        if self._history is not None:
            self._history.end()
        return tuple(self.done)


def open_day(shop: Shop, till: str, business_date: str, history: History) -> None:
    """Open a day at a till as its cashier does; an unknown outcome is asked for again. Raises FaultFailed."""
    who, op_id = shop.catalogue.cashiers[-1], uuid.uuid4().hex
    asked = {"business_date": business_date, "float_cash": FLOAT_CASH}
    more: dict[str, Any] = {}
    for attempt in range(ATTEMPTS):
        begun = time.monotonic()
        of = history.invoke(f="open", op_id=op_id, till=till, asked=asked, repeat=attempt > 0)
        try:
            session = cashier_session(shop.url(till), cashier_id=who.cashier_id, pin=who.pin)
            session.post("/v1/day/open", {"op_id": op_id, **asked})
            outcome, more = "ok", {}
        except Refused as error:
            outcome, more = ("fail" if error.definite else "info"), {"code": error.code or str(error)}
        ms = (time.monotonic() - begun) * 1000
        history.complete(outcome, of=of, f="open", op_id=op_id, till=till, ms=ms, more=more)
        if outcome == "ok":
            return
        time.sleep(0.5)
    raise FaultFailed(f"the day of {till} could not be opened: {more.get('code')}")
