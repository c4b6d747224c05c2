"""A toy shop for fault tests: a server that keeps the highest seq, tills that count sales and upload them.

    toy.py server PORT FOLDER
    toy.py till PORT FOLDER SERVER_URL

Facts are files, written before anything is answered: server FOLDER/seq.TILL; till FOLDER/head, FOLDER/acked,
FOLDER/last_ms, FOLDER/refused. A till sells every 20 ms and adds FOLDER/clock (ms) to its clock if that is there.
"""

from __future__ import annotations

import http.client
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


def put(path: Path, value: int) -> None:
    """Replace a file's number in one step."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(str(value))
    fresh.replace(path)


class Answers(BaseHTTPRequestHandler):
    """GET anything: healthy. POST /TILL/SEQ: keep it."""

    protocol_version = "HTTP/1.1"
    folder = Path()

    def do_GET(self) -> None:
        """Say that all is well."""
        self.answer(b"live")

    def do_POST(self) -> None:
        """Keep a till's seq, then acknowledge it."""
        _, till, seq = self.path.split("/")
        put(self.folder / f"seq.{till}", int(seq))
        self.answer(seq.encode())

    def answer(self, body: bytes) -> None:
        """Send 200 and a body."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


def sell(folder: Path) -> None:
    """Count sales for ever; a full disk refuses them."""
    head, refused = 0, 0
    if (folder / "head").exists():
        head = int((folder / "head").read_text())
    while True:
        time.sleep(0.02)
        try:
            clock = folder / "clock"
            offset = int(clock.read_text()) if clock.exists() else 0
            put(folder / "head", head + 1)
            put(folder / "last_ms", time.time_ns() // 1_000_000 + offset)
            (folder / f"room{head % 4}").write_bytes(bytes(8192))
            head += 1
        except OSError:
            refused += 1
            print(f"refused {refused}", flush=True)


def upload(folder: Path, url: str, till: str) -> None:
    """Send the head over one connection until it breaks, then over the next."""
    parts = urlsplit(url)
    while True:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=1)
        try:
            while True:
                time.sleep(0.02)
                connection.request("POST", f"/{till}/{int((folder / 'head').read_text())}")
                put(folder / "acked", int(connection.getresponse().read()))
        except (OSError, http.client.HTTPException, ValueError):
            time.sleep(0.05)
        finally:
            connection.close()


def main() -> None:
    """Run one of both."""
    role, port, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    if role == "till":
        threading.Thread(target=sell, args=(folder,), daemon=True).start()
        threading.Thread(target=upload, args=(folder, sys.argv[4], folder.name), daemon=True).start()
    Answers.folder = folder
    ThreadingHTTPServer(("127.0.0.1", port), Answers).serve_forever()


if __name__ == "__main__":
    main()
