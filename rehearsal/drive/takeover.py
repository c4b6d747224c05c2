"""Steps and checks of stages in which another server takes over: parity, promotion, fence, standby made anew.

Keeps: what passes is read from the servers' databases, or from answers that a till would get.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from chaos.errors import ChaosError
from rehearsal.drive.operator import Operator, parity_of
from rehearsal.drive.probe import ProbeTill, silent, told
from rehearsal.drive.reigns import Reigns
from rehearsal.drive.till_api import Refused
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.staging.servers import rebuild_standby
from rehearsal.staging.shop import Shop
from rehearsal.staging.sides import other_side
from rehearsal.witness import Witness

POLL_S = 0.3
LAG_MS_MAX = 2000
Finding = tuple[bool, str]

SUMS_SQL = {
    "till": "SELECT count(*), coalesce(sum(gross), 0) FROM receipt WHERE seq <= {seq}",
    "server": "SELECT count(*), coalesce(sum(gross), 0) FROM receipt WHERE till = '{till}' AND seq <= {seq}",
}


class Takeover:
    """What the stages need of a shop with preproduction. `stop` ends every wait."""

    def __init__(
        self, shop: Shop, witness: Witness, *, reigns: Reigns, operator: Operator, stop: threading.Event
    ) -> None:
        self._shop = shop
        self._witness = witness
        self._reigns = reigns
        self._operator = operator
        self._stop = stop
        self.probe = ProbeTill(shop, witness)
        self.parity: dict[str, str] = {}
        self.started: list[str] = []

    def begin(self) -> int | None:
        """Return the term in which a stage begins; the probe till knows the first.

        Where no server can be read it is the highest that one told before; None: none ever did.
        """
        try:
            self.probe.remember()
            return self._witness.server().term_n
        except WitnessUnreadable:
            return self._reigns.highest()

    def watch_live(self) -> Finding:
        """From now on the operator promotes by the rule."""
        self._operator.armed = True
        return True, "the operator watches the live server"

    def promote(self) -> Finding:
        """Promote by hand."""
        return self._operator.promote_by_hand()

    def rebuild(self) -> Finding:
        """Make the side that was live before a standby of the live one."""
        primary = self._operator.live()
        standby = other_side(self._shop.sides, primary)
        if standby is None:
            return False, "there is no other side"
        begun = time.monotonic()
        self.started += standby.nodes
        try:
            rebuild_standby(self._shop.fleet, primary=primary, standby=standby)
        except ChaosError as error:
            return False, f"{standby.server} could not be made a standby again: {error}"
        return True, f"{standby.server} copied anew from {primary.server} in {time.monotonic() - begun:.1f} s"

    def check_parity(self, until: float) -> Finding:
        """The standby equals the live server in schema, version, build and settings, and is close behind."""

        def look() -> Finding:
            standby = other_side(self._shop.sides, self._operator.live())
            if standby is None:
                return False, "there is no standby"
            try:
                equal, said = parity_of(self._shop, standby.server)
            except Refused as error:
                return False, f"{standby.server}: {error}"
            self.parity = said
            differs = "; ".join(f"{key[9:]} {value}" for key, value in said.items() if key.startswith("differs"))
            if not equal:
                return False, f"{standby.server} is not equal: {differs}"
            if int(said["lag_ms"]) > LAG_MS_MAX:
                return False, f"{standby.server} is {said['lag_ms']} ms behind"
            return (
                True,
                f"{standby.server} equals the live server, schema {said['schema']}, lag {said['lag_ms']} ms",
            )

        return self._until(until, look)

    def failed_over(self, tills: Sequence[str], term_before: int | None, until: float) -> Finding:
        """Every till had entries accepted by the live server of a newer term than the stage began in."""
        begun = time.monotonic()
        if term_before is None:
            return False, "nobody knows the term in which the stage began"

        def look() -> Finding:
            try:
                rows = self._witness.server_rows(
                    "SELECT (SELECT n FROM term), coalesce(array_agg(DISTINCT till), '{}') FROM entry"
                    " WHERE term_n = (SELECT n FROM term)"
                )
            except WitnessUnreadable as error:
                return False, str(error)
            term_n, there = rows[0]
            missing = sorted(set(tills) - set(there))
            if term_n <= term_before:
                return False, f"nobody took over: the term is still {term_n}"
            if missing:
                return False, f"no entry of {', '.join(missing)} in term {term_n}"
            waited = time.monotonic() - begun
            return True, f"{len(tills)} tills had entries accepted in term {term_n} within {waited:.1f} s"

        return self._until(until, look)

    def fenced(self, until: float) -> Finding:
        """The old server's database says that it is fenced, and the probe till is refused there."""
        old = other_side(self._shop.sides, self._operator.live())
        if old is None:
            return False, "there is no old server"

        def look() -> Finding:
            role = self._reigns.role(old.server)
            return role == "fenced", f"{old.server} is {role}"

        passed, text = self._until(until - 2 * POLL_S, look)
        probes = self.probe.ask(old.server)
        while silent(probes) and time.monotonic() < until and not self._stop.wait(POLL_S):
            probes = self.probe.ask(old.server)  # a database is back before its server
        refused = bool(probes) and not silent(probes) and not any(one.accepted for one in probes)
        return passed and refused, f"{text}; probe till: {told(probes)}"

    def sums(self, tills: Sequence[str], until: float) -> Finding:
        """Receipts and gross of each till, up to where the server has its journal, are the same on both."""

        def look() -> Finding:
            parts = []
            try:
                for till in tills:
                    seq = self._witness.durable_seq(till)
                    here = self._witness.till_rows(till, SUMS_SQL["till"].format(seq=seq))[0]
                    there = self._witness.server_rows(SUMS_SQL["server"].format(till=till, seq=seq))[0]
                    if tuple(map(int, here)) != tuple(map(int, there)):
                        return (
                            False,
                            f"{till}: {here[0]} receipts of {here[1]}, on the server {there[0]} of {there[1]}",
                        )
                    parts.append(f"{till}: {here[0]} receipts, {here[1]} minor units on both")
            except WitnessUnreadable as error:
                return False, str(error)
            return True, "; ".join(parts)

        return self._until(until, look)

    def _until(self, until: float, look: Callable[[], Finding]) -> Finding:
        while True:
            passed, text = look()
            if passed or time.monotonic() >= until or self._stop.wait(POLL_S):
                return passed, text
