"""A till on SQLite: statements and commits of a sale, and of sending a backlog in batches."""

from __future__ import annotations

import threading
from pathlib import Path
from random import Random

from sqlalchemy import Engine, insert

from rehearsal.gate.counting.statements import Statements
from rehearsal.gate.counting.trade import DAY_MS, RATE_BP
from syncref.core.selling import Basket, LineAsked, PaymentAsked
from syncref.core.uplink_messages import UplinkOptions
from syncref.domain.identity import chain_hash, genesis_hash
from syncref.domain.masters import MASTER_BY_NAME, PRICE_LIST
from syncref.store.till_open import TillDatabase
from syncref.store.till_provision import provision
from syncref.store.till_reserve import FileReserve
from syncref.store.till_schema import masters
from syncref.store.till_state import read_state, write_state
from syncref.till.alarms import Alarms
from syncref.till.checkout import Checkout
from syncref.till.clock import TillClock
from syncref.till.progress import Progress
from syncref.till.servers import ServerCalls
from syncref.till.uplink import Uplink, UplinkParts
from syncref.wire.sync import Ack, Batch, Hello, HelloAnswer, TermWire

SALES, BATCH = 1000, 100
CLUSTER = "gate"
WAIT_S = 60.0
TERM = TermWire(cluster=CLUSTER, n=1, id=bytes(16))
ROWS: dict[str, list[tuple[str | int | None, ...]]] = {
    "tax_rate": [("A", RATE_BP)],
    "product": [(f"P{n}", f"P{n}", "A", None, 1) for n in range(3)],
    "price": [(f"P{n}", PRICE_LIST, 0, 100 + n) for n in range(3)],
}
BASKET = Basket(
    lines=tuple(LineAsked(sku=f"P{n}", qty=1000) for n in range(3)),
    payments=(PaymentAsked(tender="cash", amount=None),),
)


class NotSent(Exception):
    """The backlog was not sent in time."""


class _Clock(TillClock):
    """Stands still, so that time decides nothing."""

    def now_ms(self) -> int:
        """Return the one instant there is."""
        return DAY_MS


class _Server(ServerCalls):
    """A server that stores nothing and confirms everything at once."""

    def __init__(self, genesis: bytes) -> None:
        super().__init__(till="T01", secret="", timeout_s=1.0)
        self._genesis = genesis
        self.requests = 0

    def hello(self, base: str, hello: Hello) -> HelloAnswer:
        """Greet a journal of which nothing has come yet."""
        del base, hello
        self.requests += 1
        return HelloAnswer(
            session=bytes(16), term=TERM, durable_seq=0, durable_hash=self._genesis, hash_at_head=None, safe=0,
            server_ms=DAY_MS,
        )  # fmt: skip

    def upload(self, base: str, batch: Batch) -> Ack:
        """Confirm a batch."""
        del base
        self.requests += 1
        value = batch.prev_hash
        for payload in batch.payloads:
            value = chain_hash(value, payload)
        return Ack(session=batch.session, seq=batch.first_seq + len(batch.payloads) - 1, hash=value, safe=0)


class _Arrival(Progress):
    """Says when the server has everything."""

    def __init__(self) -> None:
        super().__init__(acked=0, safe=0)
        self.target = -1
        self.there = threading.Event()

    def moved(self, *, acked: int, safe: int) -> None:
        """Note how far the server is."""
        super().moved(acked=acked, safe=safe)
        if acked == self.target:
            self.there.set()


def count(folder: Path) -> dict[str, int]:
    """Count in a folder of its own. Raises NotSent."""
    counter = Statements()
    counter.watch_sqlalchemy(Engine)
    database = TillDatabase(f"sqlite:///{folder}/till.db")
    key = provision(database, name="T01", cluster=CLUSTER)
    _fill(database)
    found = _sell(database, counter)
    found |= _send(database, _Server(genesis_hash(cluster=CLUSTER, key=key)), counter)
    database.close()
    return found


def _fill(database: TillDatabase) -> None:
    with database.step() as connection:
        for table, rows in ROWS.items():
            names = (*MASTER_BY_NAME[table].column_names, "version")
            connection.execute(insert(masters[table]), [dict(zip(names, (*row, 1), strict=True)) for row in rows])
        write_state(connection, loaded=True)


def _sell(database: TillDatabase, counter: Statements) -> dict[str, int]:
    draw = Random("till")  # noqa: S311 - op ids, the same every time
    assert database.path is not None
    reserve = FileReserve(database.path, size=1024)
    checkout = Checkout(database, clock=_Clock(), reserve=reserve, wake_uplink=lambda _: None)
    checkout.open_day(op_id=draw.randbytes(16), cashier="C1", business_date="2025-03-01", float_cash=0)
    counter.take()
    for _ in range(SALES):
        checkout.sell(op_id=draw.randbytes(16), cashier="C1", basket=BASKET)
    statements, commits = counter.take()
    return {f"{SALES}_sales.sql_statements": statements, f"{SALES}_sales.commits": commits}


def _send(database: TillDatabase, server: _Server, counter: Statements) -> dict[str, int]:
    arrival = _Arrival()
    with database.read() as connection:
        arrival.target = read_state(connection).head.seq
    uplink = Uplink(
        UplinkParts(
            database=database, calls=server, servers=("http://gate",), progress=arrival, clock=_Clock(),
            alarms=Alarms(database), wanted=lambda: True,
            options=UplinkOptions(cluster=CLUSTER, servers=1, batch_entries=BATCH, backoff_max_ms=1000),
        )
    )  # fmt: skip
    counter.take()
    uplink.start()
    try:
        if not arrival.there.wait(WAIT_S):
            raise NotSent(f"the till's uplink did not send {arrival.target} entries in {WAIT_S:g} s")
    finally:
        uplink.stop(timeout_s=WAIT_S)
    statements, commits = counter.take()
    what = f"backlog_of_{arrival.target}"
    return {
        f"{what}.requests": server.requests, f"{what}.sql_statements": statements, f"{what}.commits": commits,
    }  # fmt: skip
