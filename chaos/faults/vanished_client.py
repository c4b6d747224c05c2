"""Vanished client: a till sends half an upload and is gone, and the network never tells the server.

What is left is a connection that stays open and silent; the server alone can get rid of it, or live with it.
"""

from __future__ import annotations

import fcntl
import http.client
import struct
import termios
from typing import ClassVar
from urllib.parse import urlsplit

from chaos.errors import FaultFailed
from chaos.faults.base import Bite, Context, together
from chaos.faults.onnode import NodeFault
from chaos.fleet.health import connection_to

TIMEOUT_S = 3.0
ARRIVE_S = 0.5


class VanishedClient(NodeFault):
    """Begins an upload at each server and never finishes it; at its end nothing is lifted, for nobody is there."""

    kind = "vanished_client"
    held: ClassVar[list[http.client.HTTPConnection]] = []
    """Connections that nobody closes, up to the end of the lab or the next such fault."""

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.sent: dict[str, http.client.HTTPConnection] = {}
        self.said: dict[str, tuple[int, str]] = {}

    def obstacle(self, context: Context) -> str | None:
        """The system must have told what an upload looks like."""
        missing = super().obstacle(context)
        unknown = [target for target in self.targets if target not in context.system.half_uploads]
        return missing or (f"no upload to {', '.join(unknown)} is known" if unknown else None)

    def inject(self, context: Context) -> None:
        """Send the half."""
        self.held.clear()
        for target in self.targets:
            self.sent[target] = connection = begun(context, target)
            self.held.append(connection)
        context.sleep(ARRIVE_S)

    def lift(self, context: Context) -> None:
        """Note what the server made of it; the connection stays as it is."""
        for target, connection in self.sent.items():
            self.said.setdefault(target, (waiting_bytes(connection), told(connection)))

    def evidence(self, context: Context) -> Bite:
        """The server's machine has all that was sent, and nothing was answered; or it closed the connection."""
        return together(self._of(target) for target in self.targets)

    def _of(self, target: str) -> Bite:
        if target not in self.said:
            return Bite(bit=False, text=f"{target}: nothing was sent")
        waiting, said = self.said[target]
        text = f"{target}: half an upload was taken, {said}"
        return Bite(bit=waiting == 0 and said in {"silent", "closed by the server"}, text=text)


def begun(context: Context, target: str) -> http.client.HTTPConnection:
    """Return a connection on which half of an upload was sent; raise FaultFailed."""
    plan = context.system.half_uploads[target]
    parts = urlsplit(plan.url)
    connection = connection_to(parts.scheme, parts.hostname or "", parts.port or 80, TIMEOUT_S)
    try:
        connection.putrequest("POST", plan.path)
        for name, value in {**plan.headers, "Content-Length": str(plan.length)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(plan.body)
    except (OSError, http.client.HTTPException) as error:
        raise FaultFailed(f"half an upload could not be sent to {target}: {error}") from error
    return connection


def waiting_bytes(connection: http.client.HTTPConnection) -> int:
    """Return the bytes that the peer's kernel has not taken yet."""
    if connection.sock is None:
        return 0
    found = fcntl.ioctl(connection.sock, termios.TIOCOUTQ, struct.pack("i", 0))
    return int(struct.unpack("i", found)[0])


def told(connection: http.client.HTTPConnection) -> str:
    """Return what came back: silent, closed by the server, or answered."""
    if connection.sock is None:
        return "closed by the server"
    connection.sock.settimeout(0.2)
    try:
        return "answered" if connection.sock.recv(1) else "closed by the server"
    except TimeoutError:
        return "silent"
    except OSError:
        return "closed by the server"
