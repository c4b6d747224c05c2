"""How every process listens for HTTP: TLS whose certificate can be changed, and bounds for each connection.

Keeps: a connection that sends or reads too slowly, or heads without end, is dropped before it costs anybody
else anything; everything that it holds meanwhile is bounded.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from syncref.tls import ServerTls
from syncref.wire.sync import Problem

HEAD_BYTES_MAX = 32 * 1024
HEAD_S = 10.0
BODY_S = 20.0
BODY_BYTES_PER_S = 512
READ_STALL_S = 20.0
LEAVE_S = 0.5
CERTIFICATE_LOOK_TICKS = 10  # uvicorn ticks ten times a second


class BoundedHttp(HttpToolsProtocol):
    """HTTP/1.1 on one connection, with a deadline for each part of it.

    head  all of a request's head within HEAD_S of its first byte (or of the connection), in HEAD_BYTES_MAX
    body  BODY_S, and after that no slower than BODY_BYTES_PER_S on the whole
    answer  not more than READ_STALL_S without the reader taking anything
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        self._part: str | None = "head"
        self._taken = 0
        self._since_s = 0.0
        self._due: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._await("head", HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._await(None)
        self._unstall()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what came, and refuse a head that grows beyond its bound."""
        if self.transport.is_closing():
            return
        self._taken += len(data)
        super().data_received(data)
        if self._part == "head" and self._taken > HEAD_BYTES_MAX and not self.transport.is_closing():
            self._refuse(431, "too_large", f"a head of more than {HEAD_BYTES_MAX} bytes")
        elif self._part is None and self.timeout_keep_alive_task is None and self._idle():
            self._await("head", HEAD_S)  # empty lines between requests don't keep a connection

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        if self._part != "head":
            self._await("head", HEAD_S)

    def on_headers_complete(self) -> None:
        """Begin a body."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEAD_BYTES_MAX:
            raise ValueError("the head is too large")  # the parser ends, and a 400 is sent
        self._await("body", BODY_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait for nothing: it is the server's turn."""
        self._await(None)
        super().on_message_complete()

    def shutdown(self) -> None:
        """Close once no request is in hand. Over TLS that waits for the caller's own end, which an idle one
        never sends: so it is cut LEAVE_S later."""
        super().shutdown()
        self._let_go()

    def pause_writing(self) -> None:
        """The reader has taken nothing for a while."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(READ_STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The reader goes on."""
        self._unstall()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, as a Problem like every other error."""
        self._refuse(400, "request_invalid", msg)

    def _let_go(self) -> None:
        self.loop.call_later(LEAVE_S, self.transport.abort if self._idle() else self._let_go)

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await(self, part: str | None, within_s: float = 0.0) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        self._part = part
        if part is not None:
            self._taken, self._since_s = 0, self.loop.time()
            self._due = self.loop.call_later(within_s, self._late)

    def _late(self) -> None:
        self._due = None
        if self.transport is None or self.transport.is_closing():
            return
        spent_s = self.loop.time() - self._since_s - BODY_S
        if self._part == "body" and (self.flow.read_paused or self._taken > spent_s * BODY_BYTES_PER_S > 0):
            self._due = self.loop.call_later(BODY_S / 4, self._late)
            return
        self.transport.abort()

    def _unstall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._await(None)
        body = msgspec.json.encode(Problem(code=code, message=message, definite=True, request_id=""))
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()


class Listening(uvicorn.Server):
    """A uvicorn server that shows a certificate, and shows a new one once its files have changed."""

    def __init__(self, config: uvicorn.Config, tls: ServerTls | None) -> None:
        if tls is not None:
            config.load()
            config.ssl = tls.context
        super().__init__(config)
        self._tls = tls

    async def on_tick(self, counter: int) -> bool:
        """Look at the certificate's files once a second."""
        if self._tls is not None and counter % CERTIFICATE_LOOK_TICKS == 0:
            self._tls.look()
        return await super().on_tick(counter)


def configured(app: Any, **options: Any) -> uvicorn.Config:
    """Return uvicorn's configuration for an application, bounded as everywhere."""
    return uvicorn.Config(app, http=BoundedHttp, log_config=None, access_log=False, ws="none", **options)
