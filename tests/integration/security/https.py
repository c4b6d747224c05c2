"""A small HTTPS server for tests, that shows any certificate and tells any time."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from syncref.certificates import issue
from syncref.tls import ServerTls

HOST = "127.0.0.1"


class _Told(ThreadingHTTPServer):
    daemon_threads = True
    now: datetime | None = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that breaks the handshake off is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Told

    def do_GET(self) -> None:
        """Answer with the Authorization header that came."""
        body = json.dumps({"seen": self.headers.get("Authorization")}).encode()
        self.send_response_only(200)
        if self.server.now is not None:
            self.send_header("Date", format_datetime(self.server.now, usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def certificate(
    authority: Path, folder: Path, *names: str, days: int = 30, now: datetime | None = None
) -> tuple[Path, Path]:
    """Issue a certificate into a folder; return its file and its key's."""
    folder.mkdir(exist_ok=True)
    files = (folder / "tls.pem", folder / "tls.key")
    issue(authority, names or (HOST,), certificate_file=files[0], key_file=files[1], days=days, now=now)
    return files


@contextmanager
def serving(tls: ServerTls, *, now: datetime | None = None) -> Iterator[str]:
    """Serve over TLS from a thread; yield the base URL."""
    server = _Told((HOST, 0), _Handler)
    server.now = now
    server.socket = tls.context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"https://{HOST}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
