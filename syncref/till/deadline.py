"""HTTP to a server with one deadline over everything: connect, send and read.

Keeps: a request that leads into a black hole, or to a peer that trickles, ends in time, so that no thread of
the till ever hangs on the network.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from contextlib import suppress
from urllib.parse import urlsplit

import msgspec

from syncref.errors import SyncrefError
from syncref.till.connection import Connection, Deadline, Patience, Verifier
from syncref.till.trusted_time import TrustedTime
from syncref.tls import Trust
from syncref.wire import UNREADABLE
from syncref.wire.sync import Problem

ANSWER_BYTES_MAX = 32 * 1024 * 1024
_READ_BYTES = 64 * 1024


class Unreachable(SyncrefError):
    """No answer in time, a broken connection, or nonsense in place of an answer: the outcome is unknown."""

    code, status, definite = "unreachable", 503, False


class Untrusted(Unreachable):
    """Somebody answers there, but can't show that it is the server: nothing was sent to it."""

    code, status, definite = "untrusted_server", 503, True


class Rejected(SyncrefError):
    """The server answered with a problem of the catalogue."""

    definite = True

    def __init__(self, problem: Problem, status: int) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.http_status = status


class HttpLine:
    """One kept-alive connection to one server at a time. Not thread-safe, except for `abort`."""

    def __init__(self, verifier: Verifier | None = None, *, patience_s: float) -> None:
        """`verifier`: how https:// servers are known; without it the system's authorities are believed.

        `patience_s`: the longest wait for a connection.
        """
        self._verifier = verifier
        self._patience = Patience(patience_s)
        self._aborted = False
        self._deadline = Deadline()
        self._base = ""
        self._connection: Connection | None = None

    def ask(
        self,
        method: str,
        url: str,
        *,
        timeout_s: float,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """Return the body of a 2xx answer.

        Raises Rejected when the server answers with a problem, Unreachable when nobody answers in time, and
        Untrusted when whoever answers can't show that it is the server.
        """
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.netloc}"
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        self._deadline.at = time.monotonic() + timeout_s
        self._aborted = False
        kept = self._connection is not None and base == self._base
        try:
            try:
                status, answer = self._exchange(base, method, target, body, headers or {})
            except (http.client.RemoteDisconnected, ConnectionError):
                if not kept or self._aborted:
                    raise
                self.cut()  # the server closed a quiet connection; everything asked here may be asked twice
                status, answer = self._exchange(base, method, target, body, headers or {})
        except ssl.SSLCertVerificationError as error:
            self.cut()
            raise Untrusted(f"{base}: {error.verify_message if error.args[1:] else error}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.cut()
            detail = str(error) or type(error).__name__
            raise Unreachable(f"{base}: {detail}") from error
        if status // 100 == 2:
            return answer
        raise _rejected(base, status, answer)

    def cut(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abort(self) -> None:
        """Make the request that is under way in another thread fail at once."""
        self._aborted = True
        connection = self._connection
        sock = None if connection is None else connection.sock
        if sock is not None:
            with suppress(OSError):
                # not the TLS socket's own: that forgets its session while the other thread reads by it
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _exchange(
        self, base: str, method: str, target: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        if self._connection is None or base != self._base:
            self.cut()
            self._connection = self._to(base)
            self._base = base
        connection = self._connection
        connection.request(method, target, body=body, headers=headers)
        response = connection.getresponse()
        connection.learn(response)
        chunks: list[bytes] = []
        size = 0
        while chunk := response.read1(_READ_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            if size > ANSWER_BYTES_MAX:
                raise ValueError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
        response.close()  # read1 leaves a body of known length open, and the connection unusable
        if response.will_close:
            connection.close()
            self._connection = None
        return response.status, b"".join(chunks)

    def _to(self, base: str) -> Connection:
        parts = urlsplit(base)
        if parts.scheme != "https":
            return Connection(parts.hostname or "", parts.port or 80, self._deadline, None, self._patience)
        if self._verifier is None:
            self._verifier = Verifier(trust=Trust(None), time=TrustedTime(time.time()))
        host, port = parts.hostname or "", parts.port or 443
        return Connection(host, port, self._deadline, self._verifier, self._patience)


def _rejected(base: str, status: int, answer: bytes) -> SyncrefError:
    try:
        problem = msgspec.json.decode(answer, type=Problem)
    except UNREADABLE:
        return Unreachable(f"{base}: HTTP {status} without a problem body")
    return Rejected(problem, status)
