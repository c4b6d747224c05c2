"""Price flips: the lab's own clerk announces prices that all tills must take up at one later instant.

Keeps: a flip that was planned and not announced is trouble of the run.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable

from loadtest.history import History
from rehearsal.drive.threads import LabThread
from rehearsal.drive.till_api import Refused, identity_session
from rehearsal.plan.scenario import FlipPlan, Scenario
from rehearsal.staging.shop import Shop

ATTEMPTS = 20
RETRY_S = 1.0

Say = Callable[[str], None]


class FlipRunner:
    """Announces the flips of a scenario in a thread of their own, written down like any clerk's edits."""

    def __init__(self, scenario: Scenario, *, shop: Shop, history: History, say: Say) -> None:
        self._scenario = scenario
        self._shop = shop
        self._history = history
        self._say = say
        self._stop = threading.Event()
        self._thread: LabThread | None = None
        self._left = sorted(scenario.flips, key=lambda one: one.announce_s)
        self.trouble: list[str] = []

    def start(self, begin: float, begin_ms: int) -> None:
        """Begin; the load starts at `begin` (monotonic seconds), which is `begin_ms` (epoch ms)."""
        self._thread = LabThread(self._run, begin, begin_ms, name="flips")
        self._thread.start()

    def stop(self) -> None:
        """Announce nothing more; note what was not announced."""
        self._stop.set()
        if self._thread is not None:
            self.trouble += self._thread.end(60)
        self.trouble += [f"the price flip of {flip.at_s:g} s was not announced" for flip in self._left]

    def _run(self, begin: float, begin_ms: int) -> None:
        for number, flip in enumerate(tuple(self._left)):
            if self._stop.wait(max(0.0, begin + flip.announce_s - time.monotonic())):
                return
            self._say(f"announcing {flip.products} prices, valid at {flip.at_s:g} s")
            self._announce(self._document(number, flip, begin_ms + round(flip.at_s * 1000)))
            self._left.remove(flip)

    def _document(self, number: int, flip: FlipPlan, valid_from_ms: int) -> dict[str, object]:
        """Draw products, none of a pair, and raise their opening price."""
        rng = random.Random(f"{self._scenario.seed}:flip:{number}")  # noqa: S311 - reproducible on purpose
        prices = self._shop.catalogue.prices
        paired = {sku for a, b, _ in self._shop.catalogue.pairs for sku in (a, b)}
        free = sorted(set(prices) - paired)
        chosen = rng.sample(free, min(flip.products, len(free)))
        rows = [
            {
                "sku": sku,
                "valid_from_ms": valid_from_ms,
                "amount": max(1, prices[sku] * (100 + flip.percent) // 100),
            }
            for sku in chosen
        ]
        return {"prices": rows}

    def _announce(self, doc: dict[str, object]) -> None:
        """Post one document under one op id until its outcome is definite."""
        op_id, asked = uuid.uuid4().hex, time.monotonic()
        name = list(self._shop.clerks)[-1]
        for attempt in range(ATTEMPTS):
            of = self._history.invoke(
                f="price", op_id=op_id, till="backoffice", asked={"doc": doc}, repeat=attempt > 0
            )
            outcome, more = self._post(name, {"op_id": op_id, **doc})
            ms = (time.monotonic() - asked) * 1000
            self._history.complete(outcome, of=of, f="price", op_id=op_id, till="backoffice", ms=ms, more=more)
            if outcome != "info":
                break
            if self._stop.wait(RETRY_S):
                break
        if outcome != "ok":
            self.trouble.append(f"a price flip could not be announced: {more}")

    def _post(self, name: str, body: dict[str, object]) -> tuple[str, dict[str, object]]:
        """Post to the first back office that takes it."""
        for url in self._shop.offices:
            try:
                session = identity_session(url, kind="clerk", name=name, secret=self._shop.clerks[name])
                answer = session.post("/v1/prices", body)
                break
            except Refused as error:
                refused = error
        else:
            return ("fail" if refused.definite else "info"), {"code": refused.code or str(refused)}
        rows = [{key: row[key] for key in ("table", "key", "version")} for row in answer.get("rows", ())]
        return "ok", {"rows": rows}
