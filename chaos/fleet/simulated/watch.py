"""Invariants that are judged while a schedule runs, with arithmetic of the judge's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from chaos.fleet.simulated.bites import Bites
from chaos.fleet.simulated.history import History
from chaos.fleet.simulated.loop import Loop
from chaos.fleet.simulated.server_store import ServerStore
from chaos.fleet.simulated.till_store import TillStore
from syncref.core.downlink_messages import Apply
from syncref.core.journal_messages import Commit
from syncref.core.selling import Basket, Return
from syncref.core.uplink_messages import SendBatch
from syncref.domain.identity import Key, Mark
from syncref.domain.masters import Row
from syncref.wire.entry import Receipt
from syncref.wire.sync import FeedRow

CALM_MS = 10_000
CALM_SENDS = 60


class TillSeen(Protocol):
    """What is judged of a till."""

    name: str
    index: int
    boot: int
    alive: bool
    key: Key
    store: TillStore
    offset_ms: int
    rate: float


class ServerSeen(Protocol):
    """What is judged of a server."""

    name: str
    open: bool
    store: ServerStore

    @property
    def standby_of(self) -> ServerSeen | None:
        """The server whose log it replays."""

    def catch_up(self) -> None:
        """Replay what has arrived by now."""


class ChainSeen(Protocol):
    """What a verdict rests on beside the nodes."""

    loop: Loop
    bites: Bites
    history: History
    losers: set[int]
    twins: set[int]

    @property
    def servers(self) -> Sequence[ServerSeen]:
        """All servers."""

    def live(self) -> ServerSeen | None:
        """Return the server that takes writes."""


class Finding(NamedTuple):
    """Something that must not be. `checker` is the name under which it is judged."""

    checker: str
    text: str


def half_away(numerator: int, denominator: int) -> int:
    """Return a quotient rounded to the nearest integer, halves away from zero."""
    sign = -1 if numerator < 0 else 1
    quotient, rest = divmod(abs(numerator), denominator)
    return sign * (quotient + (1 if 2 * rest >= denominator else 0))


class Watch:
    """Collects findings. Nothing here changes what happens."""

    def __init__(self, world: ChainSeen) -> None:
        self.world = world
        self.findings: list[Finding] = []
        self.alarms: dict[str, int] = {}
        self.printed: dict[str, Receipt] = {}
        self.instants: dict[str, int] = {}
        self.fences: dict[str, int] = {}
        self.ever: dict[int, set[tuple[str, Row, int]]] = {}
        self.history_lost = False
        self.accepted: dict[int, tuple[bytes, str]] = {}
        self.terms: dict[int, int] = {}
        self.sends: dict[tuple[int, Key, int], tuple[int, int]] = {}

    def find(self, checker: str, text: str) -> None:
        """Convict."""
        self.findings.append(Finding(checker, f"{self.world.loop.now} ms: {text}"))

    def alarm(self, till: TillSeen, code: str) -> None:
        """Count an alarm."""
        self.alarms[code] = self.alarms.get(code, 0) + 1

    # --- upward

    def acked(self, server: ServerSeen, key: Key, mark: Mark) -> None:
        """No ack before it is durable; one accepted writer a term."""
        if server.store.hash_at(key, mark.seq) != mark.hash:
            self.find("receipts", f"{server.name} acks {key.till} {mark.seq}, which it does not have")
        term = server.store.term
        if term.n < self.fences.get(server.name, 0):
            self.find("failover", f"{server.name} takes writes in term {term.n} though it was fenced")
        writer = (term.id, server.name)
        if self.accepted.setdefault(term.n, writer) != writer:
            self.find("failover", f"two writers in term {term.n}: {server.name} and {self.accepted[term.n][1]}")

    def sending(self, till: TillSeen, key: Key, batch: SendBatch) -> None:
        """No send before what it rests on is durable; terms never go down."""
        if till.store.term != batch.term:
            self.find("failover", f"{till.name} sends in term {batch.term.n} before it is durable")
        place = f"{till.name}/{till.boot}"
        if batch.term.n < self.terms.get(till.index, 0) and till.index not in self.world.losers:
            self.find("failover", f"{till.name} sends in term {batch.term.n} after {self.terms[till.index]}")
        self.terms[till.index] = max(batch.term.n, self.terms.get(till.index, 0))
        self._calm(till, key, batch.first_seq)
        last = batch.first_seq + len(batch.payloads) - 1
        if till.store.hash_at(key, last) is None:
            self.find("receipts", f"{place} sends {last} before it is durable")

    def _calm(self, till: TillSeen, key: Key, first: int) -> None:
        """What is refused is sent again after a while, not at once and for ever."""
        now = self.world.loop.now
        since, count = self.sends.get((till.index, key, first), (now, 0))
        if now - since > CALM_MS:
            since, count = now, 0
        self.sends[(till.index, key, first)] = (since, count + 1)
        if count == CALM_SENDS:
            self.find("drain", f"{till.name} sends {first} {count} times within {now - since} ms")

    def pruning(self, till: TillSeen, upto: int) -> None:
        """What is pruned is on every server that may be promoted in this term, and on the live one."""
        key = till.store.journal.key
        reign = 0 if till.store.term is None else till.store.term.n
        for server in self.world.servers:
            promotable = server.open or (server.standby_of is not None and server.standby_of.open)
            if promotable and server.store.term.n >= reign:
                server.catch_up()
                if server.store.durable(key) < upto:
                    self.find("receipts", f"{till.name} prunes {upto}, {server.name} has less")

    # --- money

    def sold(self, till: TillSeen, commit: Commit) -> None:
        """A receipt is what was asked for, at a legal price, to the cent; its number is new."""
        receipt = commit.entry
        assert isinstance(receipt, Receipt)
        number = commit.receipt_no
        assert number is not None
        twins = till.index in self.world.twins  # machines with one disk's content can't help it
        if number in self.printed and self.printed[number].op_id != receipt.op_id and not twins:
            self.find("receipts", f"receipt {number} is printed twice")
        self.printed[number] = receipt
        if till.offset_ms:
            self.world.bites.count("clock.jump")
        if till.rate != 1.0:
            self.world.bites.count("clock.drift")
        asked = self.world.history.operations.get(receipt.op_id)
        if asked is None:
            self.find("receipts", f"receipt {number} was never asked for")
            return
        request = asked.operation.request
        if isinstance(request, Basket):
            self._check_sale(till, receipt, request)
        elif isinstance(request, Return):
            wanted = [(line.sku, -line.qty, line.unit_price, -line.discount) for line in request.lines]
            self._check_lines(receipt, wanted)
        self._check_sums(receipt)

    def _check_sale(self, till: TillSeen, receipt: Receipt, basket: Basket) -> None:
        place = f"{till.name}/{till.key.incarnation.hex()}"
        instant = receipt.at_ms
        floor = self.instants.get(place, 0)
        if instant < floor and till.index not in self.world.twins:
            self.find("prices", f"{till.name} prices at {instant}, after {floor}")
        self.instants[place] = max(instant, floor)
        wanted = []
        rows = till.store.masters.tables.get("price", {})
        skus = {line.sku for line in basket.lines}
        priced = [(key, row, version) for key, (row, version) in rows.items() if key[0] in skus]
        for line in basket.lines:
            legal = [
                (int(key[2] or 0), int(row[3] or 0), version, key)
                for key, row, version in priced
                if key[0] == line.sku and int(key[2] or 0) <= instant
            ]
            if not legal:
                self.find("prices", f"{line.sku} had no price at {instant}")
                return
            _, price, version, key = max(legal)
            if version < till.store.masters.highest.get(("price", key), 0):
                self.find("prices", f"{till.name} sells {line.sku} at a price that was replaced")
            wanted.append((line.sku, line.qty, price, line.discount))
        self._check_lines(receipt, wanted)

    def _check_lines(self, receipt: Receipt, wanted: list[tuple[str, int, int, int]]) -> None:
        if len(wanted) != len(receipt.lines):
            self.find("money", f"{len(receipt.lines)} lines where {len(wanted)} were asked")
            return
        for line, (sku, qty, price, discount) in zip(receipt.lines, wanted, strict=True):
            if (line.sku, line.qty, line.discount) != (sku, qty, discount):
                self.find("money", f"line {line} is not what was asked")
            if line.unit_price != price:
                self.find("prices", f"{sku} costs {line.unit_price} where {price} is legal")

    def _check_sums(self, receipt: Receipt) -> None:
        gross = tax = 0
        for line in receipt.lines:
            amount = half_away(line.qty * line.unit_price, 1000) - line.discount
            gross += amount
            due = half_away(amount * line.tax_rate_bp, 10_000 + line.tax_rate_bp)
            tax += due
            if (line.amount, line.tax) != (amount, due):
                self.find("money", f"line {line} should come to {amount} with {due} tax")
        paid = sum(payment.amount for payment in receipt.payments)
        if (receipt.gross, receipt.tax, paid) != (gross, tax, gross):
            self.find("money", f"receipt of {receipt.gross}, {receipt.tax}, paid {paid}: {gross}, {tax} due")

    # --- downward

    def rows_written(self, till: TillSeen) -> None:
        """No key goes to a lower version within a term."""
        lowered = till.store.masters.lowered
        for table, key in lowered:
            self.find("masters", f"{till.name} takes an older row of {table} {key}")
        lowered.clear()

    def opened(self, server: ServerSeen) -> None:
        """Remember what the rows of a term are: those of the server that opened it."""
        if server.store.term.n > 1:
            self.history_lost = True
        self.ever[server.store.term.n] = server.store.ever

    def booted(self, till: TillSeen) -> None:
        """A cursor claims no more than the rows that are there."""
        live, cursor = self.world.live(), till.store.cursor
        if live is None or cursor is None or not till.store.loaded or self.history_lost:
            return
        if cursor.term == live.store.term and not live.store.changed_since(cursor.pos):
            want = {table: value for table, value in live.store.digests.items() if value}
            have = {table: value for table, value in till.store.masters.digests.items() if value}
            if want != have:
                self.find("masters", f"{till.name} starts at {cursor.pos} without the rows up to it")

    def fenced(self, server: ServerSeen, by: int) -> None:
        """Remember a fence, whether the server does or not."""
        self.fences[server.name] = max(by, self.fences.get(server.name, 0))

    def applied(self, till: TillSeen, effect: Apply, staged: tuple[FeedRow, ...]) -> None:
        """At the end of a run the rows are a state that the server committed in that term."""
        self.rows_written(till)
        ever = self.ever.get(effect.run.term.n)
        for row in (*staged, *effect.rows):
            if ever is not None and (row.table, row.row, row.version) not in ever:
                self.find("masters", f"{till.name} applies {row.row}, which its term never had")
        mismatched = till.store.mismatched(effect)
        if mismatched and not self.history_lost and till.index not in self.world.losers:
            self.find("masters", f"{till.name} ends a run in a state that never was: {mismatched}")
        before = effect.expected
        if before is not None and before.term == effect.cursor.term and effect.cursor.pos < before.pos:
            self.find("masters", f"{till.name} goes back from {before.pos} to {effect.cursor.pos}")

    def sample(self, till: TillSeen) -> None:
        """Paired rows have a constant sum, whenever one looks."""
        if not (till.alive and till.store.loaded):
            return
        pair = [till.store.masters.prices.get(sku, {}).get(0) for sku in ("p0", "p1")]
        if pair[0] is None or pair[1] is None:
            return
        if pair[0][0] + pair[1][0] != 1000:
            self.find("documents", f"{till.name} shows {pair[0][0]} and {pair[1][0]} of one document")
