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


def connection_to(scheme: str, host: str, port: int, timeout_s: float) -> http.client.HTTPConnection:
    """Return an unopened connection; over https:// whoever answers is verified."""
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=timeout_s)


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
