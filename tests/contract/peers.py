"""A TCP server and clients for proxy tests."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

WAIT_S = 10.0


class EchoServer:
    """Sends back what it gets; remembers all of it. `address` is host:port."""

    def __init__(self, *, flood: int = 0) -> None:
        self.received = bytearray()
        self.ended = threading.Event()
        self._flood = flood
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._spawn(self._accept)

    def _spawn(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self._flood:
                connection.sendall(bytes(self._flood))
            while data := connection.recv(65536):
                self.received += data
                connection.sendall(data)
        self.ended.set()

    def close(self) -> None:
        """Close the listener and every connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(WAIT_S)


@contextlib.contextmanager
def connected(address: str) -> Iterator[socket.socket]:
    """Yield a connection to host:port."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_S) as connection:
        yield connection


def exactly(connection: socket.socket, size: int) -> bytes:
    """Read `size` bytes or to the end."""
    data = bytearray()
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return bytes(data)


def ends(connection: socket.socket) -> bool:
    """Read until the connection ends, however it does; True if no byte came before."""
    try:
        return connection.recv(65536) == b""
    except ConnectionError:
        return True


def silent(connection: socket.socket, wait_s: float = 0.3) -> bool:
    """Tell whether nothing, not even an end, comes within the time."""
    connection.settimeout(wait_s)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(WAIT_S)
    return False
