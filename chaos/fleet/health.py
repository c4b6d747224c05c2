"""Ask a node whether it is up, by its own protocol. The environment's proxy is never used."""

from __future__ import annotations

import http.client
import socket
import ssl
from urllib.parse import urlsplit

import psycopg2

TIMEOUT_S = 2.0


def healthy(url: str, *, timeout_s: float = TIMEOUT_S) -> bool:
    """Tell whether http(s):// answers 2xx, tcp:// accepts, or postgresql:// runs a query, within the time-out.

    Over https:// whoever answers is verified by the authorities in SSL_CERT_FILE, or the system's.
    """
    parts = urlsplit(url)
    if parts.scheme.startswith("postgresql"):
        return database_answers(url, timeout_s)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    if parts.scheme == "tcp":
        return accepts(host, port, timeout_s)
    connection = connection_to(parts.scheme, host, port, timeout_s)
    try:
        connection.request("GET", parts.path or "/", headers={"Connection": "close"})
        return 200 <= connection.getresponse().status < 300
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class ReachedElsewhere(http.client.HTTPSConnection):
    """A connection to a host that goes by its name and is found at an address which the name service lacks."""

    def __init__(self, host: str, port: int, timeout_s: float, address: str) -> None:
        self._name, self._address = host, address
        self._verifying = ssl.create_default_context()
        super().__init__(host, port, timeout=timeout_s, context=self._verifying)

    def connect(self) -> None:
        """Connect to the address and verify the name."""
        plain = socket.create_connection((self._address, self.port), self.timeout)
        try:
            self.sock = self._verifying.wrap_socket(plain, server_hostname=self._name)
        except OSError:
            plain.close()
            raise


def connection_to(
    scheme: str, host: str, port: int, timeout_s: float, *, reached_at: str | None = None
) -> http.client.HTTPConnection:
    """Return an unopened connection; over https:// whoever answers is verified.

    `reached_at`: the address to connect to, where `host` is a name that only others can look up.
    """
    if scheme == "https" and reached_at:
        return ReachedElsewhere(host, port, timeout_s, reached_at)
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=ssl.create_default_context())
    return http.client.HTTPConnection(reached_at or host, port, timeout=timeout_s)


def accepts(host: str, port: int, timeout_s: float) -> bool:
    """Tell whether a port accepts a connection."""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True


def database_answers(url: str, timeout_s: float) -> bool:
    """Tell whether a PostgreSQL server takes a query; a driver's name in the URL is ignored."""
    try:
        connection = psycopg2.connect(plain_dsn(url), connect_timeout=max(1, round(timeout_s)))
    except psycopg2.OperationalError:
        return False
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except psycopg2.Error:
        return False
    finally:
        connection.close()
    return True


def plain_dsn(url: str) -> str:
    """Return a SQLAlchemy URL as the driver itself takes it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"
