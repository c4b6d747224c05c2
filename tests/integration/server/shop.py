"""A shop for server tests: a running server and back office in this process, tills and clerks over HTTP."""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import urllib3
import uvicorn
import zstandard
from litestar import Litestar
from sqlalchemy import Engine, text

from syncref.domain.identity import Key, chain_hash, genesis_hash
from syncref.domain.money import line_amount, tax_included
from syncref.listening import configured
from syncref.wire.entry import Continued, DayClosed, Line, Payment, RateTotal, Receipt, encode_entry
from syncref.wire.sync import (
    CONTENT_TYPE,
    Ack,
    Batch,
    FeedPage,
    FeedRow,
    Hello,
    HelloAnswer,
    LoadChunk,
    TermWire,
)

T = TypeVar("T")
DATE = "2025-03-01"
SECRET = "a-long-secret-of-"
RATE_BP = 1900


@contextmanager
def running(app: Litestar, *, port: int = 0) -> Iterator[str]:
    """Serve an application from a thread; yield its base URL."""
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    server = uvicorn.Server(configured(app, lifespan="on", timeout_keep_alive=75))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the application did not start"
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        app.state.get("leave", lambda: None)()
        server.should_exit = True
        thread.join()
        listener.close()


@dataclass
class Answer:
    """A response: status, headers and decoded or raw body."""

    status: int
    headers: Any
    data: bytes

    @property
    def json(self) -> Any:
        """The body from JSON."""
        return msgspec.json.decode(self.data)

    def wire(self, kind: type[T]) -> T:
        """The body from compressed MessagePack."""
        assert self.status == 200, self.data
        return msgspec.msgpack.decode(zstandard.decompress(self.data), type=kind)


@dataclass
class Client:
    """One HTTP client with a token."""

    url: str
    kind: str
    name: str
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=60.0))
    token: str = ""

    def log_in(self, secret: str | None = None) -> Answer:
        """Get a token."""
        body = {"kind": self.kind, "name": self.name, "secret": secret or SECRET + self.name}
        answer = self.ask("POST", "/v1/token", json=body)
        if answer.status == 200:
            self.token = answer.json["token"]
        return answer

    def ask(self, method: str, path: str, **more: Any) -> Answer:
        """Send a request."""
        headers = more.pop("headers", {}) | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        response = self.http.request(method, self.url + path, headers=headers, **more)
        return Answer(response.status, response.headers, response.data)

    def post_wire(self, path: str, message: object) -> Answer:
        """Send compressed MessagePack."""
        return self.post_bytes(path, zstandard.compress(msgspec.msgpack.encode(message)))

    def post_bytes(self, path: str, body: bytes) -> Answer:
        """Send bytes as the wire's content type."""
        return self.ask("POST", path, body=body, headers={"Content-Type": CONTENT_TYPE})

    def close(self) -> None:
        """Close all connections."""
        self.http.clear()


def new_op() -> str:
    """Return a fresh op id."""
    return secrets.token_hex(16)


@dataclass
class Clerk(Client):
    """A back-office clerk."""

    kind: str = "clerk"
    name: str = "alice"

    def document(self, path: str, *, op_id: str | None = None, **body: Any) -> Answer:
        """Send a document under an op id."""
        return self.ask("POST", f"/v1/{path}", json={"op_id": op_id or new_op(), **body})


@dataclass
class Till(Client):
    """A till that keeps a journal and uploads it, and that reads the feed."""

    kind: str = "till"
    name: str = "T01"
    incarnation: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    cluster: str = ""
    payloads: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    counter: int = 0
    term: TermWire | None = None
    session: bytes = b""
    acked: int = 0

    @property
    def key(self) -> Key:
        """The journal's name."""
        return Key(till=self.name, incarnation=self.incarnation)

    def begin(self) -> Till:
        """Log in and shake hands."""
        self.log_in()
        self.greet()
        return self

    def hash_at(self, seq: int) -> bytes:
        """The chain hash at a sequence."""
        return self.hashes[seq - 1] if seq else genesis_hash(cluster=self.cluster, key=self.key)

    def hello(self, **changed: Any) -> Answer:
        """Shake hands."""
        head = len(self.payloads)
        fields: dict[str, Any] = {
            "till": self.name, "incarnation": self.incarnation, "term": self.term, "head_seq": head,
            "head_hash": self.hash_at(head), "acked": self.acked, "safe": 0, "cursor_pos": 0,
        }  # fmt: skip
        return self.post_wire("/v1/hello", Hello(**(fields | changed)))

    def greet(self, **changed: Any) -> HelloAnswer:
        """Shake hands and believe the answer."""
        answer = self.hello(**changed).wire(HelloAnswer)
        self.session, self.term, self.cluster = answer.session, answer.term, answer.term.cluster
        return answer

    def journal(self, payload: bytes) -> int:
        """Append an entry; return its sequence."""
        self.hashes.append(chain_hash(self.hash_at(len(self.payloads)), payload))
        self.payloads.append(payload)
        return len(self.payloads)

    def start_anew(self, *, continues: int) -> None:
        """Go on in a new journal that continues the present one after a sequence, as a rolled-back till does."""
        mark = self.hash_at(continues)
        first = Continued(
            op_id=secrets.token_bytes(16), incarnation=self.incarnation, seq=continues, hash=mark, at_ms=1
        )
        self.incarnation, self.payloads, self.hashes = secrets.token_bytes(16), [], []
        self.counter = self.acked = 0
        self.greet()
        self.journal(encode_entry(first))

    def sell(self, *lines: tuple[str, int, int], **changed: Any) -> Receipt:
        """Journal a sale of (sku, qty, unit price) lines, paid in cash."""
        self.counter += 1
        receipt = sale(self.counter, lines or (("P1", 1000, 100),), **changed)
        self.journal(encode_entry(receipt))
        return receipt

    def close_day(self, receipts: Sequence[Receipt], **changed: Any) -> DayClosed:
        """Journal the Z of these receipts."""
        z = z_of(receipts, **changed)
        self.journal(encode_entry(z))
        return z

    def batch(self, first: int = 1, last: int | None = None, **changed: Any) -> Batch:
        """Return the batch of entries first..last."""
        assert self.term is not None
        payloads = tuple(self.payloads[first - 1 : last])
        fields: dict[str, Any] = {
            "session": self.session, "term": self.term, "till": self.name, "incarnation": self.incarnation,
            "first_seq": first, "prev_hash": self.hash_at(first - 1), "payloads": payloads,
        }  # fmt: skip
        return Batch(**(fields | changed))

    def upload(self, first: int = 1, last: int | None = None, **changed: Any) -> Answer:
        """Send entries first..last."""
        return self.post_wire("/v1/journal", self.batch(first, last, **changed))

    def flush(self) -> Ack:
        """Send everything that is not acked."""
        ack = self.upload(self.acked + 1).wire(Ack)
        self.acked = ack.seq
        return ack

    def feed(self, pos: int, **query: Any) -> FeedPage:
        """Read a page."""
        return self.ask("GET", "/v1/feed", fields={"pos": pos, **query}).wire(FeedPage)

    def run(self, pos: int) -> tuple[list[FeedRow], FeedPage]:
        """Read a whole run; return its rows and the last page."""
        rows: list[FeedRow] = []
        page = self.feed(pos)
        while not page.last:
            assert page.tombstone_floor <= page.from_pos, "the cursor is below the floor"
            rows += page.rows
            if page.after is None:
                page = self.feed(page.pos)
            else:
                table, key = page.after
                page = self.feed(page.from_pos, scan_to=page.scan_to, after_tbl=table, after_key=key)
        return rows + list(page.rows), page

    def load(self, table: str, **query: Any) -> LoadChunk:
        """Read a chunk of an initial load."""
        return self.ask("GET", f"/v1/load/{table}", fields=query).wire(LoadChunk)


def sale(counter: int, lines: Sequence[tuple[str, int, int]], **changed: Any) -> Receipt:
    """Return a balanced receipt of (sku, qty, unit price) lines, paid in cash."""
    rows = []
    for sku, qty, price in lines:
        amount = line_amount(qty=qty, unit_price=price, discount=0)
        tax = tax_included(amount=amount, rate_bp=RATE_BP)
        rows.append(Line(sku=sku, qty=qty, unit_price=price, price_version=1, tax_rate_bp=RATE_BP,
                         discount=0, tax=tax, amount=amount))  # fmt: skip
    gross = sum(row.amount for row in rows)
    fields: dict[str, Any] = {
        "op_id": secrets.token_bytes(16), "kind": "sale", "counter": counter, "business_date": DATE,
        "at_ms": 1_740_000_000_000, "cashier": "c1", "lines": tuple(rows),
        "payments": (Payment(tender="cash", amount=gross),), "gross": gross,
        "tax": sum(row.tax for row in rows),
    }  # fmt: skip
    return Receipt(**(fields | changed))


def z_of(receipts: Sequence[Receipt], **changed: Any) -> DayClosed:
    """Return the Z report over receipts that were paid in cash at one tax rate."""
    gross, tax = sum(r.gross for r in receipts), sum(r.tax for r in receipts)
    fields: dict[str, Any] = {
        "op_id": secrets.token_bytes(16), "business_date": DATE, "at_ms": 1_740_000_000_000, "cashier": "c1",
        "sales": sum(r.kind == "sale" for r in receipts), "refunds": sum(r.kind == "refund" for r in receipts),
        "voids": sum(r.kind == "void" for r in receipts), "gross": gross, "tax": tax,
        "by_tender": (Payment(tender="cash", amount=gross),),
        "by_rate": (RateTotal(rate_bp=RATE_BP, gross=gross, tax=tax),), "counted_cash": gross,
        "first_receipt": None, "last_receipt": None, "chain_head": b"",
    }  # fmt: skip
    return DayClosed(**(fields | changed))


@dataclass
class Shop:
    """A server, a back office, their database, and whoever was asked for."""

    server_url: str
    office_url: str
    engine: Engine
    clients: list[Client] = field(default_factory=list)

    def till(self, name: str = "T01") -> Till:
        """Return a till that has shaken hands."""
        till = Till(url=self.server_url, name=name)
        self.clients.append(till)
        till.cluster = str(self.value("SELECT cluster FROM term"))
        return till.begin()

    def clerk(self) -> Clerk:
        """Return a clerk who has logged in."""
        clerk = Clerk(url=self.office_url)
        self.clients.append(clerk)
        assert clerk.log_in().status == 200
        return clerk

    def value(self, sql: str, **values: object) -> Any:
        """Return the first value of a query."""
        with self.engine.connect() as connection:
            return connection.execute(text(sql), values).scalar()

    def execute(self, sql: str, **values: object) -> None:
        """Execute a statement and commit."""
        with self.engine.begin() as connection:
            connection.execute(text(sql), values)
