"""What a till asks of a server: tokens, handshake, upload, feed and load, as typed calls.

Keeps: every call has one deadline; nothing is decompressed beyond its bound; an expired token is renewed once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
import zstandard

from syncref.domain.identity import Term
from syncref.till.connection import Verifier
from syncref.till.deadline import HttpLine, Rejected, Unreachable, Untrusted
from syncref.wire import UNREADABLE
from syncref.wire.sync import CONTENT_TYPE, PAGE_ROWS_MAX, Ack, Batch, FeedPage, Hello, HelloAnswer, LoadChunk

PAGE_BYTES_MAX = 64 * 1024 * 1024
_LEVEL = 3
T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()


class _Token(msgspec.Struct):
    token: str
    expires_in_s: int


class _ServerStatus(msgspec.Struct):
    cluster: str


class _Day(msgspec.Struct):
    business_date: str
    state: str


class Wallet:
    """A till's token, which every server of the shop takes: keys are replicated before they are used.

    So that a failover asks for no log-in of anybody. `doubt` is told of a server that can't show who it is, and
    with None that it could. Safe to use from several threads.
    """

    def __init__(self, *, doubt: Callable[[str, str | None], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._token: str | None = None
        self._doubted: set[str] = set()
        self._doubt = doubt

    def token(self) -> str | None:
        """Return the present token, None before the first log-in."""
        with self._lock:
            return self._token

    def put(self, token: str) -> None:
        """Keep a new token."""
        with self._lock:
            self._token = token

    def drop(self, token: str) -> None:
        """Forget a token that was refused, unless it has been renewed meanwhile."""
        with self._lock:
            if self._token == token:
                self._token = None

    def met(self, base: str, objection: str | None) -> None:
        """Take note of whether a server could show who it is."""
        with self._lock:
            if (base in self._doubted) == (objection is not None):
                return
            self._doubted.symmetric_difference_update({base})
        if self._doubt is not None:
            self._doubt(base, objection)


class ServerCalls:
    """Calls of one till over one connection. Not thread-safe, except for `abort`."""

    def __init__(
        self,
        *,
        till: str,
        secret: str,
        timeout_s: float,
        verifier: Verifier | None = None,
        wallet: Wallet | None = None,
    ) -> None:
        self._line = HttpLine(verifier, patience_s=timeout_s)
        self._till = till
        self._secret = secret
        self._timeout_s = timeout_s
        self._wallet = wallet or Wallet()
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self._decompressor = zstandard.ZstdDecompressor()

    def abort(self) -> None:
        """Make the call that is under way in another thread fail at once."""
        self._line.abort()

    def close(self) -> None:
        """Drop the connection."""
        self._line.cut()

    def cluster(self, base: str) -> str:
        """Return the name of the server's cluster."""
        answer = self._authorized("GET", base, "/v1/status", None, self._timeout_s)
        return self._typed(base, answer, _ServerStatus, packed=False).cluster

    def hello(self, base: str, hello: Hello) -> HelloAnswer:
        """Shake hands."""
        return self._typed(base, self._post(base, "/v1/hello", hello), HelloAnswer)

    def upload(self, base: str, batch: Batch) -> Ack:
        """Send entries."""
        return self._typed(base, self._post(base, "/v1/journal", batch), Ack)

    def feed(
        self,
        base: str,
        *,
        pos: int,
        term: Term | None,
        scan_to: int | None,
        after: tuple[str, str] | None,
        urgent_pos: int,
        wait_ms: int,
        limit: int = PAGE_ROWS_MAX,
    ) -> FeedPage:
        """Ask for a page of the feed; the server may hold the answer for `wait_ms` while nothing changes."""
        query: dict[str, Any] = {"pos": pos, "urgent_pos": urgent_pos}
        if term is not None:
            query |= {"term_n": term.n, "term_id": term.id.hex()}
        if scan_to is not None:
            query["scan_to"] = scan_to
        if after is not None:
            query["after_tbl"], query["after_key"] = after
        if wait_ms:
            query["wait_ms"] = wait_ms
        if limit < PAGE_ROWS_MAX:
            query["limit"] = limit
        answer = self._authorized(
            "GET", base, f"/v1/feed?{urlencode(query)}", None, self._timeout_s + wait_ms / 1000
        )
        return self._typed(base, answer, FeedPage)

    def load(
        self, base: str, *, table: str, after: str | None, start_pos: int | None, limit: int = PAGE_ROWS_MAX
    ) -> LoadChunk:
        """Ask for a chunk of a table."""
        query: dict[str, Any] = {}
        if after is not None:
            query["after"] = after
        if start_pos is not None:
            query["start_pos"] = start_pos
        if limit < PAGE_ROWS_MAX:
            query["limit"] = limit
        path = f"/v1/load/{table}" + (f"?{urlencode(query)}" if query else "")
        return self._typed(base, self._authorized("GET", base, path, None, self._timeout_s), LoadChunk)

    def tallied(self, base: str) -> set[str]:
        """Return this till's business dates that the server has settled without a difference."""
        answer = self._authorized("GET", base, f"/v1/settlement?till={self._till}", None, self._timeout_s)
        days = self._typed(base, answer, list[_Day], packed=False)
        return {day.business_date for day in days if day.state == "TALLIED"}

    def _post(self, base: str, path: str, message: msgspec.Struct) -> bytes:
        body = self._compressor.compress(_encoder.encode(message))
        return self._authorized("POST", base, path, body, self._timeout_s)

    def _authorized(self, method: str, base: str, path: str, body: bytes | None, timeout_s: float) -> bytes:
        kept = self._wallet.token()
        token = kept or self._log_in(base)
        try:
            return self._ask(method, base, path, body=body, timeout_s=timeout_s, token=token)
        except Rejected as rejected:
            if rejected.problem.code != "unauthorized":
                raise
            self._wallet.drop(token)
            if kept is None:
                raise
        token = self._wallet.token() or self._log_in(base)
        return self._ask(method, base, path, body=body, timeout_s=timeout_s, token=token)

    def _ask(
        self, method: str, base: str, path: str, *, body: bytes | None, timeout_s: float, token: str
    ) -> bytes:
        headers = {"Authorization": f"Bearer {token}", "Accept": CONTENT_TYPE}
        if body is not None:
            headers["Content-Type"] = CONTENT_TYPE
        return self._send(method, base, path, timeout_s=timeout_s, body=body, headers=headers)

    def _send(
        self, method: str, base: str, path: str, *, timeout_s: float, body: bytes | None, headers: dict[str, str]
    ) -> bytes:
        try:
            answer = self._line.ask(method, base + path, timeout_s=timeout_s, body=body, headers=headers)
        except Untrusted as error:
            self._wallet.met(base, error.message)
            raise
        except Rejected:
            self._wallet.met(base, None)
            raise
        self._wallet.met(base, None)
        return answer

    def _log_in(self, base: str) -> str:
        body = msgspec.json.encode({"kind": "till", "name": self._till, "secret": self._secret})
        answer = self._send(
            "POST",
            base,
            "/v1/token",
            timeout_s=self._timeout_s,
            body=body,
            headers={"Content-Type": "application/json"},
        )
        token = self._typed(base, answer, _Token, packed=False).token
        self._wallet.put(token)
        return token

    def _typed(self, base: str, answer: bytes, kind: type[T], *, packed: bool = True) -> T:
        try:
            if not packed:
                return msgspec.json.decode(answer, type=kind)
            size = zstandard.frame_content_size(answer)
            if size > PAGE_BYTES_MAX:
                raise Unreachable(f"{base}: an answer that unpacks to {size} bytes")
            plain = self._decompressor.decompress(answer, max_output_size=PAGE_BYTES_MAX)
            return msgspec.msgpack.decode(plain, type=kind)
        except (*UNREADABLE, zstandard.ZstdError) as error:
            raise Unreachable(f"{base}: an answer that can't be read: {error}") from error
