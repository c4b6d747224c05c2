"""The till's address: held by one process at a time."""

from __future__ import annotations

import socket

from syncref.config import TillSettings
from syncref.errors import ConfigInvalid


def listen(settings: TillSettings) -> socket.socket:
    """Take the till's address. Raises ConfigInvalid when another process, such as the till itself, has it."""
    address = settings.till.address
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # connections inherit it: an answer is two writes, and waiting for an ACK between them costs 40 ms
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((address.host, address.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigInvalid(f"[till] listen = {settings.till.listen!r}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener
