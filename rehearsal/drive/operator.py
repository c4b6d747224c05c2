"""The operator's part in a failover: who watches the live server, when it is dead, and who is promoted.

The rule is as plain as a monitor's: no good answer of the live server for as long as its patience. Then the
old one is asked to stop, whether or not it hears that, and the standby is promoted. Every time is noted.

Keeps: nobody is fenced for the sake of a server that was no standby when it was last heard of.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

from chaos.errors import ChaosError
from chaos.fleet.health import healthy
from rehearsal.drive.reigns import Reigns
from rehearsal.drive.threads import LabThread
from rehearsal.drive.till_api import Refused, Session, identity_session
from rehearsal.model import FailoverRecord
from rehearsal.staging.servers import peer_secret, promotion_step
from rehearsal.staging.shop import Shop
from rehearsal.staging.sides import Side, other_side

LOOK_EVERY_S = 0.2
LOOK_TIMEOUT_S = 0.5
ASK_TIMEOUT_S = 30.0
FENCE_TIMEOUT_S = 0.5
AGAIN_S = 0.5
PROMOTABLE = frozenset({"standby", "promoting"})
SEEN_S = 5.0  # until a promotion shows in the servers' databases

Say = Callable[[str], None]


class Operator:
    """Watches and promotes; `armed` switches the automatic rule. Safe to use from several threads."""

    def __init__(self, shop: Shop, reigns: Reigns, *, patience_s: float, say: Say) -> None:
        self._shop = shop
        self._reigns = reigns
        self._patience_s = patience_s
        self._say = say
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = LabThread(self._run, name="operator")
        self.armed = False
        self.records: list[FailoverRecord] = []

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> list[str]:
        """Promote nothing more; return what was wrong with the watching."""
        self._stop.set()
        return self._thread.end(ASK_TIMEOUT_S + 5)

    def live(self) -> Side:
        """Return the side that the servers' databases call live, or that was so last."""
        sides = self._shop.sides
        by_term = [(reign.term_n, side) for side in sides if (reign := self._reigns.latest.get(side.server))]
        live = [(term_n, side) for term_n, side in by_term if self._reigns.role(side.server) == "live"]
        if live:
            return max(live, key=lambda one: one[0])[1]
        if self.records:
            return next(side for side in sides if side.server == self.records[-1].to_server)
        return sides[0]

    @property
    def done(self) -> tuple[FailoverRecord, ...]:
        """What was promoted so far."""
        return tuple(self.records)

    def promote_by_hand(self) -> tuple[bool, str]:
        """Promote the standby as the runbook has it, with the command line; return whether, and what it said."""
        with self._lock:
            if self._stop.is_set():  # while another promotion was waited for
                return False, "the run is over"
            old = self.live()
            new = other_side(self._shop.sides, old)
            if new is None:
                return False, "there is no standby"
            record = self._begun("by hand", old, new)
            try:
                said = self._shop.fleet.run_step(promotion_step(self._shop.fleet, new.server))
            except ChaosError as error:
                return False, f"syncref promote: {error}"
            self._note(record, promoted_ms=_now())
            return True, f"syncref promote on {new.server}: {said.strip().splitlines()[-1]}"

    def _run(self) -> None:
        if len(self._shop.sides) == 1:
            return
        good_s = time.monotonic()
        watched = ""
        while not self._stop.wait(LOOK_EVERY_S):
            if not self.armed:
                watched = ""
                continue
            live = self.live()
            if live.server != watched:
                watched, good_s = live.server, time.monotonic()
            if healthy(f"{self._shop.url(live.server)}/v1/health", timeout_s=LOOK_TIMEOUT_S):
                good_s = time.monotonic()
            elif time.monotonic() - good_s >= self._patience_s:
                self._take_over(live, silent_since_s=good_s)
                good_s = time.monotonic()

    def _take_over(self, old: Side, *, silent_since_s: float) -> None:
        new = other_side(self._shop.sides, old)
        if new is None or self._reigns.told(new.server) not in PROMOTABLE:
            return
        with self._lock:
            record = self._begun("automatic", old, new)
            silent_s = time.monotonic() - silent_since_s
            self._say(f"operator: {old.server} gave no good answer for {silent_s:.1f} s; promoting {new.server}")
            self._fence(old)
            while not self._stop.is_set():
                try:
                    answer = self._session(new.server).post("/v1/promote", {}, timeout_s=ASK_TIMEOUT_S)
                    break
                except Refused as error:
                    self._say(f"operator: {new.server} is not promoted yet: {error}")
                    self._stop.wait(AGAIN_S)
            else:
                return
            self._note(record, promoted_ms=_now())
            self._say(f"operator: {new.server} is {answer.get('role')} in term {answer.get('term_n')}")
        until = time.monotonic() + SEEN_S
        while self._reigns.role(new.server) != "live" and time.monotonic() < until:
            self._stop.wait(LOOK_EVERY_S)

    def _fence(self, old: Side) -> None:
        """Ask the old server to take nothing more; a dead one is fenced when it comes back."""
        reign = self._reigns.latest.get(old.server)
        if reign is None:
            return
        try:
            session = self._session(old.server, timeout_s=FENCE_TIMEOUT_S)
            session.post("/v1/fence", {"term_n": reign.term_n + 1}, timeout_s=FENCE_TIMEOUT_S)
        except Refused:
            return

    def _session(self, server: str, *, timeout_s: float = ASK_TIMEOUT_S) -> Session:
        secret = peer_secret(self._shop.fleet)
        return identity_session(
            self._shop.url(server), kind="server", name="peer", secret=secret, timeout_s=timeout_s
        )

    def _begun(self, how: str, old: Side, new: Side) -> int:
        now = _now()
        self.records.append(
            FailoverRecord(
                how=how, from_server=old.server, to_server=new.server, detected_ms=now, promoted_ms=None
            )
        )
        return len(self.records) - 1

    def _note(self, index: int, *, promoted_ms: int) -> None:
        self.records[index] = replace(self.records[index], promoted_ms=promoted_ms)


def parity_of(shop: Shop, server: str) -> tuple[bool, dict[str, str]]:
    """Ask a standby whether it could take over as it is: (whether, what it said by name); raises Refused."""
    session = identity_session(shop.url(server), kind="server", name="peer", secret=peer_secret(shop.fleet))
    answer = session.get("/v1/parity")
    told = {"server": server, "lag_ms": str(answer["lag_ms"]), "equal": "yes" if answer["ok"] else "no"}
    own = session.get("/v1/peer")
    told |= {name: str(own[name]) for name in ("schema_version", "schema", "build", "postgres", "term_n")}
    told |= {f"settings {key}": str(value) for key, value in own["settings"].items()}
    for one in answer["differences"]:
        told[f"differs: {one['what']}"] = f"here {one['here']}, there {one['there']}"
    return bool(answer["ok"]), told


def _now() -> int:
    return time.time_ns() // 1_000_000
