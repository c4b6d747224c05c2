"""A server for stories and benchmarks of one till: prepared answers, so that what is measured is the till.

`python -m rehearsal.prove.field.stub_server PRODUCTS` prints its port. It serves a catalogue of that many products
with a price and stock each, takes any upload, and counts what arrives (GET /count gives JSON).
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import msgspec
import zstandard

from syncref.auth import hash_secret
from syncref.domain.identity import Key, chain_hash, genesis_hash
from syncref.domain.masters import MASTERS, Row, row_digest
from syncref.wire.sync import (
    PAGE_ROWS_MAX,
    Ack,
    Batch,
    FeedPage,
    FeedRow,
    Hello,
    HelloAnswer,
    LoadChunk,
    TermWire,
)

TERM = TermWire(cluster="bench", n=1, id=bytes(16))
SESSION = bytes(16)
PIN = "1234"
PIN_HASH = hash_secret(PIN)


def catalogue(products: int) -> dict[str, list[Row]]:
    """Return the rows of every table, in key order."""
    rows: dict[str, list[Row]] = {table.name: [] for table in MASTERS}
    rows["tax_rate"] = [("N", 1900), ("R", 700)]
    rows["vendor"] = [(f"V{n:03d}", f"Vendor number {n}") for n in range(100)]
    rows["cashier"] = [("C1", "Ann", PIN_HASH, 1)]
    for n in range(products):
        sku = f"P{n:07d}"
        rows["product"].append((sku, f"Product {n} of the shop", "NR"[n % 3 == 0], f"V{n % 100:03d}", 1))
        rows["price"].append((sku, "STD", 0, 49 + n * 7919 % 9950))
        rows["stock"].append((sku, n * 31 % 500 * 1000))
    return rows


def pack(message: msgspec.Struct) -> bytes:
    """Return a message as it travels."""
    return zstandard.ZstdCompressor(level=3).compress(msgspec.msgpack.encode(message))


class Busy(Exception):
    """The server takes nothing now."""


class Stub:
    """Answers, and what was uploaded."""

    def __init__(self, products: int) -> None:
        rows = catalogue(products)
        self.pages: dict[tuple[str, str], bytes] = {}
        for table, found in rows.items():
            keys = next(len(spec.key) for spec in MASTERS if spec.name == table)
            starts = range(0, max(1, len(found)), PAGE_ROWS_MAX)
            after = ""
            for at in starts:
                chunk = found[at : at + PAGE_ROWS_MAX]
                more = at + PAGE_ROWS_MAX < len(found)
                last = json.dumps(chunk[-1][:keys]) if more else None
                self.pages[table, after] = pack(
                    LoadChunk(
                        term=TERM,
                        table=table,
                        start_pos=1,
                        after=last,
                        rows=tuple(FeedRow(table=table, row=row, version=1) for row in chunk),
                    )
                )
                after = last or ""
        digests = tuple(
            (table, sum(row_digest(table, row, 1) for row in found) % 2**64) for table, found in rows.items()
        )
        self.end = pack(
            FeedPage(term=TERM, from_pos=1, scan_to=None, after=None, pos=1, last=True, rows=(), digests=digests)
        )
        self.incarnation = b""
        self.seq = 0
        self.hash = b""
        self.sales = 0
        self.bytes = 0
        self.chunks = 0
        self.lock = threading.Lock()
        self.busy = False
        self.held = threading.Event()

    def answer(self, method: str, target: str, body: bytes) -> bytes:
        """Return the answer to a request."""
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/count":
            counted = {"sales": self.sales, "bytes": self.bytes, "chunks": self.chunks, "of": len(self.pages)}
            return json.dumps(counted).encode()
        if parts.path in ("/hold", "/go"):
            self.busy = parts.path == "/hold"
            return b"true"
        if self.busy:
            raise Busy
        if parts.path == "/v1/token":
            return b'{"token": "t", "expires_in_s": 900}'
        if parts.path.startswith("/v1/load/"):
            self.chunks += 1
            return self.pages[parts.path.rsplit("/", 1)[1], query.get("after", "")]
        if parts.path == "/v1/feed":
            if "wait_ms" in query:
                self.held.wait(int(query["wait_ms"]) / 1000)
            return self.end
        plain = zstandard.ZstdDecompressor().decompress(body, max_output_size=1 << 26)
        with self.lock:
            return self._hello(plain) if parts.path == "/v1/hello" else self._journal(plain, len(body))

    def _hello(self, plain: bytes) -> bytes:
        hello = msgspec.msgpack.decode(plain, type=Hello)
        if hello.incarnation != self.incarnation:  # another till: its journal begins
            self.incarnation, self.seq = hello.incarnation, 0
            key = Key(till=hello.till, incarnation=hello.incarnation)
            self.hash = genesis_hash(cluster=TERM.cluster, key=key)
        return pack(
            HelloAnswer(
                session=SESSION,
                term=TERM,
                durable_seq=self.seq,
                durable_hash=self.hash,
                hash_at_head=None,
                safe=0,
                server_ms=0,
            )
        )

    def _journal(self, plain: bytes, wire_bytes: int) -> bytes:
        batch = msgspec.msgpack.decode(plain, type=Batch)
        assert batch.first_seq == self.seq + 1
        for payload in batch.payloads:
            self.hash = chain_hash(self.hash, payload)
        self.seq += len(batch.payloads)
        self.sales += len(batch.payloads)
        self.bytes += wire_bytes
        return pack(Ack(session=SESSION, seq=self.seq, hash=self.hash, safe=0))


def serve(products: int) -> None:
    """Serve until the standard input ends."""
    stub = Stub(products)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status = "200 OK"
            try:
                answer = stub.answer(self.command, self.path, body)
            except Busy:
                status = "503 Busy"
                answer = b'{"code": "busy", "message": "busy", "definite": true, "request_id": "0"}'
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
            try:
                self.wfile.write(head + answer)
            except OSError:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a till that is killed resets its lines
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
