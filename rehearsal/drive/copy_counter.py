"""A cashier at a second till of one identity: sells article by article, and writes a history like any other."""

from __future__ import annotations

import random
import threading
import time
import uuid
from pathlib import Path

from loadtest.history import History
from loadtest.operations import history_extra
from rehearsal.catalogue import Cashier
from rehearsal.drive.threads import LabThread
from rehearsal.drive.till_api import Refused, Session, cashier_session

EVERY_S = 0.7
TIMEOUT_S = 10.0
ATTEMPTS = 8


class CopyCounter:
    """Sells at a till's copy until it is stopped; what was not answered is asked for again."""

    def __init__(self, parts: Path, *, url: str, till: str, who: Cashier, skus: list[str], seed: int) -> None:
        self._history = History(parts, "k0")
        self._url = url
        self._till = till
        self._who = who
        self._skus = skus
        self._rng = random.Random(f"{seed}|copy|{till}")  # noqa: S311 - reproducible on purpose
        self._stop = threading.Event()
        self._thread = LabThread(self._run, name=f"copy of {till}")
        self.sold = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> int:
        """Finish the sale under way, and return how many were made; a history that has no end has a hole."""
        self._stop.set()
        if not self._thread.end(ATTEMPTS * (TIMEOUT_S + EVERY_S)):
            self._history.end()
        return self.sold

    def _run(self) -> None:
        session: Session | None = None
        while not self._stop.wait(EVERY_S):
            try:
                session = session or self._log_in()
            except Refused:
                continue
            self._sell(session)

    def _log_in(self) -> Session:
        return cashier_session(self._url, cashier_id=self._who.cashier_id, pin=self._who.pin)

    def _sell(self, session: Session) -> None:
        """Sell one basket; an unknown outcome is asked for under the same op id."""
        op_id, begun = uuid.UUID(int=self._rng.getrandbits(128)).hex, time.monotonic()
        basket = {
            "lines": [{"sku": self._rng.choice(self._skus), "qty": 1000, "discount": 0}],
            "payments": [{"tender": "cash", "amount": None}],
        }
        for attempt in range(ATTEMPTS):
            of = self._history.invoke(
                f="sale",
                op_id=op_id,
                till=self._till,
                repeat=attempt > 0,
                asked={"basket": basket, "by": self._who.cashier_id},
            )
            try:
                answer = session.post("/v1/sales", {"op_id": op_id, **basket}, timeout_s=TIMEOUT_S)
                outcome, more = "ok", history_extra("sale", answer)
            except Refused as error:
                outcome, more = ("fail" if error.definite else "info"), {"code": error.code or "no_answer"}
            ms = (time.monotonic() - begun) * 1000
            self._history.complete(outcome, of=of, f="sale", op_id=op_id, till=self._till, ms=ms, more=more)
            if outcome != "info":
                self.sold += outcome == "ok"
                return
            time.sleep(EVERY_S)
