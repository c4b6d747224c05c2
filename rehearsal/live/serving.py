"""Serving a page from a thread beside a run, on the loopback address, until the run has ended."""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from litestar import Litestar

from rehearsal.live.board import Board
from rehearsal.live.pages import run_app

HOME = "TILLPROOF_UI_HOME"
ADDRESS_FILE = "TILLPROOF_UI_ADDRESS_FILE"
LINGER_S = 20.0


class PageServer:
    """An application served from a thread of its own."""

    def __init__(self, app: Litestar, listener: socket.socket) -> None:
        self._listener = listener
        self._app = app
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [listener]}, name="page", daemon=True
        )

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """End all streams and stop."""
        self._app.state.leaving = True
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._listener.close()


def listen(port: int) -> socket.socket:
    """Return a listener on 127.0.0.1; port 0 takes a free one. Raises OSError."""
    return socket.create_server(("127.0.0.1", port))


def address_of(listener: socket.socket, token: str) -> str:
    """Return the page's address."""
    return f"http://127.0.0.1:{listener.getsockname()[1]}/{token}/"


def new_token() -> str:
    """Return an unguessable part of an address."""
    return secrets.token_urlsafe(18)


@contextmanager
def live_page(port: int) -> Iterator[tuple[Board, str]]:
    """Yield the board of a run and the address of its page. Raises OSError when the port can't be had.

    A page that is open at the end is given the time to fetch the report.
    """
    token, board = new_token(), Board()
    listener = listen(port)
    app = run_app(board, token, home=os.environ.get(HOME, ""))
    server = PageServer(app, listener)
    server.start()
    address = address_of(listener, token)
    _tell(address)
    try:
        yield board, address
        until = time.monotonic() + LINGER_S
        while board.attached and not app.state.report_read and time.monotonic() < until:
            time.sleep(0.1)
        if app.state.report_read:
            time.sleep(0.3)  # for the last bytes of the report
    finally:
        server.stop()
        board.close()


def _tell(address: str) -> None:
    """Write the address where the start page looks for it."""
    name = os.environ.get(ADDRESS_FILE)
    if name:
        file = Path(name)
        fresh = file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps({"address": address}), encoding="utf-8")
        fresh.replace(file)
