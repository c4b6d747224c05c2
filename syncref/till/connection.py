"""A connection to a server, made and used under one deadline, and verified against trusted time.

Keeps: no operation on the socket outlives the deadline; a machine that is gone is not waited for as long as one
that is slow.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz
from typing import Any

from syncref.till.trusted_time import TrustedTime, Validity
from syncref.tls import Trust

CONNECT_SHARE = 0.25
LEARN_EVERY_S = 60.0


@dataclass(slots=True)
class Deadline:
    """An instant of the monotonic clock, in seconds."""

    at: float = 0.0

    def left(self) -> float:
        """Return the seconds until then. Raises TimeoutError when there are none."""
        seconds = self.at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the request's time is over")
        return seconds


class _TimedSocket(socket.socket):
    """A socket whose every operation has only what is left until the deadline."""

    deadline: Deadline

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.deadline.left())
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(self.deadline.left())
        super().sendall(*args, **kwargs)


class _TimedTls(_TimedSocket, ssl.SSLSocket):
    """The same over TLS."""


class Patience:
    """How long a connection to each server may take to be made, of `whole_s` at most.

    A machine that is gone answers nothing, not even no: a till that waited its whole time for it would not be at
    the next server meanwhile. So the first wait is short. Each one that was in vain doubles it, and a connection
    that took long sets it to twice that: a slow line still gets through.
    """

    def __init__(self, whole_s: float) -> None:
        self._first_s, self._whole_s = whole_s * CONNECT_SHARE, whole_s
        self._of: dict[str, float] = {}

    def seconds(self, server: str) -> float:
        """Return how long to wait for a connection to a server."""
        return self._of.get(server, self._first_s)

    def waited_in_vain(self, server: str) -> None:
        """Wait longer the next time."""
        self._of[server] = min(self._whole_s, 2 * self.seconds(server))

    def connected(self, server: str, took_s: float) -> None:
        """Wait as long as this line seems to need."""
        self._of[server] = min(self._whole_s, max(self._first_s, 2 * took_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """How a till knows a server: by its authorities, and by dates held against trusted time."""

    trust: Trust
    time: TrustedTime

    def wrap(self, sock: socket.socket, host: str, deadline: Deadline) -> tuple[ssl.SSLSocket, Validity]:
        """Shake hands. Raises ssl.SSLCertVerificationError and OSError."""
        context = self.trust.context()
        context.sslsocket_class = _TimedTls
        wrapped = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        assert isinstance(wrapped, _TimedTls)
        wrapped.deadline = deadline
        try:
            wrapped.settimeout(deadline.left())
            wrapped.do_handshake()
            shown: dict[str, Any] = wrapped.getpeercert() or {}
            validity = Validity(
                begins_s=ssl.cert_time_to_seconds(shown["notBefore"]),
                ends_s=ssl.cert_time_to_seconds(shown["notAfter"]),
            )
            self._check(validity)
        except BaseException:
            wrapped.close()
            raise
        return wrapped, validity

    def _check(self, validity: Validity) -> None:
        objection = self.time.objection(validity)
        if objection is not None:
            raise ssl.SSLCertVerificationError(objection)


class Connection(http.client.HTTPConnection):
    """HTTP over one such connection."""

    def __init__(
        self, host: str, port: int, deadline: Deadline, verifier: Verifier | None, patience: Patience
    ) -> None:
        super().__init__(host, port)
        self._deadline = deadline
        self._patience = patience
        self._verifier = verifier
        self._validity: Validity | None = None
        self._learned_s = -LEARN_EVERY_S

    def learn(self, response: http.client.HTTPResponse) -> None:
        """Take the time that a verified server tells with its answer."""
        if self._verifier is None or self._validity is None or time.monotonic() - self._learned_s < LEARN_EVERY_S:
            return
        self._learned_s = time.monotonic()
        told = parsedate_tz(response.getheader("date") or "")
        if told is not None:
            with suppress(ValueError, OverflowError):
                self._verifier.time.learn(mktime_tz(told), self._validity)

    def connect(self) -> None:
        """Connect within the patience for this server and what is left of the deadline."""
        server, began_s, whole_s = f"{self.host}:{self.port}", time.monotonic(), self._deadline.at
        self._deadline.at = min(whole_s, began_s + self._patience.seconds(server))
        try:
            self._connect()
        except TimeoutError:
            self._patience.waited_in_vain(server)
            raise
        finally:
            self._deadline.at = whole_s
        self._patience.connected(server, time.monotonic() - began_s)

    def _connect(self) -> None:
        failure: OSError = OSError(f"{self.host}: no address")
        for family, kind, proto, _, address in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            timed = _TimedSocket(family, kind, proto)
            timed.deadline = self._deadline
            try:
                timed.settimeout(self._deadline.left())
                timed.connect(address)
                timed.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                timed.close()
                failure = error
                continue
            if self._verifier is None:
                self.sock = timed
            else:
                self.sock, self._validity = self._verifier.wrap(timed, self.host, self._deadline)
            return
        raise failure
