"""A tiny server that speaks the sync protocol from memory, and fails in the ways that a test asks for."""

from __future__ import annotations

import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import zstandard

from syncref.domain.identity import Key, chain_hash, genesis_hash
from syncref.wire.sync import (
    Ack,
    Batch,
    FeedPage,
    Hello,
    HelloAnswer,
    LoadChunk,
    Problem,
    TermWire,
)
from tests.integration.till.head_office import TERM, HeadOffice

CHUNK_ROWS = 50


class Refusal(Exception):
    """An answer that is a problem."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class FakeServer:
    """One live server: `office` are its masters, `entries` what it has of each journal."""

    def __init__(self) -> None:
        self.office = HeadOffice()
        self.term = TermWire(cluster=TERM.cluster, n=TERM.n, id=TERM.id)
        self.entries: dict[bytes, list[bytes]] = {}
        self.hashes: dict[bytes, list[bytes]] = {}
        self.sessions: dict[bytes, bytes] = {}
        self.page_rows = 1000
        self.acks_to_lose = 0
        self.refuse_uploads: str | None = None
        self.black_hole = False
        self.digest_lies = 0
        self.safe_lags = 1 << 40  # how far the standby is behind; no journal is longer
        self.stock_seq = 0
        self.tallied: list[str] = []
        self.urgent: list[Any] = []
        self.requests: list[str] = []
        self.tokens = {"t0"}
        self.changed = threading.Condition()
        self._released = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        """Stop, and let whoever hangs go."""
        self._released.set()
        with self.changed:
            self.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def announce(self) -> None:
        """Wake the tills that wait for a change."""
        with self.changed:
            self.changed.notify_all()

    def answer(self, method: str, target: str, body: bytes, token: str) -> tuple[bytes, bool]:
        """Return a body, and whether it is to be lost on its way."""
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append(f"{method} {parts.path}")
        while self.black_hole and not self._released.wait(0.05):
            pass
        if parts.path == "/v1/token":
            self.tokens.add(made := secrets.token_hex(4))
            return json.dumps({"token": made, "expires_in_s": 60}).encode(), False
        if token not in self.tokens:
            raise Refusal(401, "unauthorized")
        if parts.path in ("/v1/status", "/v1/settlement"):
            return json.dumps(self._told(parts.path)).encode(), False
        if parts.path == "/v1/hello":
            return pack(self._hello(unpack(body, Hello))), False
        if parts.path == "/v1/journal":
            ack = self._journal(unpack(body, Batch))
            lost = self.acks_to_lose > 0
            self.acks_to_lose -= lost
            return pack(ack), lost
        if parts.path.startswith("/v1/load/"):
            return pack(self._load(parts.path.rsplit("/", 1)[1], query)), False
        return pack(self._feed(query)), False

    def _told(self, path: str) -> object:
        if path == "/v1/status":
            return {"cluster": self.term.cluster, "role": "live"}
        return [{"business_date": date, "state": "TALLIED"} for date in self.tallied]

    def _hello(self, hello: Hello) -> HelloAnswer:
        genesis = genesis_hash(cluster=self.term.cluster, key=Key(till=hello.till, incarnation=hello.incarnation))
        hashes = self.hashes.setdefault(hello.incarnation, [genesis])
        self.entries.setdefault(hello.incarnation, [])
        self.sessions[hello.incarnation] = secrets.token_bytes(16)
        return HelloAnswer(
            session=self.sessions[hello.incarnation],
            term=self.term,
            durable_seq=len(hashes) - 1,
            durable_hash=hashes[-1],
            hash_at_head=hashes[hello.head_seq] if hello.head_seq < len(hashes) else None,
            safe=max(0, len(hashes) - 1 - self.safe_lags),
            server_ms=int(time.time() * 1000),
        )

    def _journal(self, batch: Batch) -> Ack:
        if self.refuse_uploads is not None:
            raise Refusal(503, self.refuse_uploads)
        if self.sessions.get(batch.incarnation) != batch.session:
            raise Refusal(409, "session_unknown")
        hashes, entries = self.hashes[batch.incarnation], self.entries[batch.incarnation]
        if batch.first_seq > len(hashes):
            raise Refusal(409, "gap")
        if hashes[batch.first_seq - 1] != batch.prev_hash:
            raise Refusal(409, "fork")
        for at, payload in enumerate(batch.payloads, batch.first_seq):
            made = chain_hash(hashes[at - 1], payload)
            if at < len(hashes):
                if hashes[at] != made:
                    raise Refusal(409, "fork")
                continue
            hashes.append(made)
            entries.append(payload)
        last = batch.first_seq + len(batch.payloads) - 1
        return Ack(session=batch.session, seq=last, hash=hashes[last], safe=0)

    def _load(self, table: str, query: dict[str, str]) -> LoadChunk:
        start = int(query.get("start_pos", self.office.pos))
        after = query.get("after")
        places = sorted(json.dumps(key) for name, key in self.office.rows if name == table)
        left = [text for text in places if after is None or text > after]
        rows = [self.office.row((table, tuple(json.loads(text)))) for text in left[:CHUNK_ROWS]]
        return LoadChunk(
            term=self.term,
            table=table,
            start_pos=start,
            after=left[CHUNK_ROWS - 1] if len(left) > CHUNK_ROWS else None,
            rows=tuple(row for row in rows if not row.deleted),
        )

    def _feed(self, query: dict[str, str]) -> FeedPage:
        pos = int(query["pos"])
        deadline = time.monotonic() + int(query.get("wait_ms", 0)) / 1000
        with self.changed:
            while pos >= self.office.pos and not self._released.is_set():
                left = deadline - time.monotonic()
                if left <= 0 or not self.changed.wait(left):
                    break
            rows = self.office.since(pos)
            after = (query["after_tbl"], query["after_key"]) if "after_tbl" in query else None
            if after is not None:
                rows = [row for row in rows if place_text(row) > after]
            scan_to = int(query["scan_to"]) if "scan_to" in query else None
            urgent, self.urgent = tuple(self.urgent), []
            common: dict[str, Any] = {"term": self.term, "from_pos": pos, "urgent": urgent}
            common["urgent_pos"] = self.office.pos if urgent else 0
            if len(rows) > self.page_rows or scan_to is not None:
                taken = rows[: self.page_rows]
                more = len(rows) > self.page_rows
                horizon = scan_to or self.office.pos
                return FeedPage(
                    scan_to=horizon,
                    after=place_text(taken[-1]) if more else None,
                    pos=horizon,
                    last=False,
                    rows=tuple(taken),
                    **common,
                )
            digests = self.office.digests()
            if self.digest_lies:
                self.digest_lies -= 1
                digests = tuple((name, value + (name == "price")) for name, value in digests)
            return FeedPage(
                scan_to=None,
                after=None,
                pos=self.office.pos,
                last=True,
                rows=tuple(rows),
                digests=digests,
                stock_seq=self.stock_seq,
                **common,
            )

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def log_message(self, format: str, *args: object) -> None:
                pass

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                try:
                    answer, lost = fake.answer(self.command, self.path, body, token)
                    status = 200
                except Refusal as refusal:
                    problem = Problem(code=refusal.code, message=refusal.code, definite=True, request_id="fake")
                    answer, lost, status = msgspec.json.encode(problem), False, refusal.status
                if lost:
                    self.close_connection = True
                    return
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:
                    self.close_connection = True

        return Handler


def place_text(row: Any) -> tuple[str, str]:
    """Return where a row stands in the order of pages."""
    keys = {"price": 3, "goods_receipt": 2, "vendor_return": 2}.get(row.table, 1)
    return row.table, json.dumps(row.row[:keys])


def pack(message: msgspec.Struct) -> bytes:
    """Return a message as it travels."""
    return zstandard.compress(msgspec.msgpack.encode(message))


def unpack(body: bytes, kind: Any) -> Any:
    """Return a message that travelled."""
    return msgspec.msgpack.decode(zstandard.decompress(body), type=kind)
