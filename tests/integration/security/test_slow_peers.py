"""Slow, stalled and endless connections: they end by themselves, and hurt nobody else meanwhile."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest
import zstandard

from syncref import listening
from syncref.wire.sync import CONTENT_TYPE
from tests.integration.server.shop import Shop, Till

WAIT_S = 15.0
MIB = 1 << 20


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the deadlines short."""
    for name, seconds in (("HEAD_S", 0.5), ("BODY_S", 0.5), ("READ_STALL_S", 0.5)):
        monkeypatch.setattr(listening, name, seconds)


@contextmanager
def connected(shop: Shop) -> Iterator[socket.socket]:
    """Yield a connection to the server."""
    host, _, port = shop.server_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_S) as made:
        yield made


def upload_head(till: Till, length: int) -> bytes:
    """Return the head of an upload."""
    return (
        f"POST /v1/journal HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {till.token}\r\n"
        f"Content-Type: {CONTENT_TYPE}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def gone(sock: socket.socket) -> bytes:
    """Wait until the server ends the connection; return what it said before."""
    told = b""
    try:
        while chunk := sock.recv(65536):
            told += chunk
    except ConnectionResetError:
        pass
    return told


@pytest.mark.parametrize("kind", ["silent", "half a head", "half a body", "a byte now and then", "empty lines"])
def test_a_connection_that_does_not_come_to_the_point_is_dropped(shop: Shop, kind: str) -> None:
    """Within its deadline, though the peer still holds it."""
    till = shop.till("T01")
    with connected(shop) as sock:
        if kind == "half a head":
            sock.sendall(b"GET /v1/alive HTTP/1.1\r\nHost:")
        elif kind == "half a body":
            sock.sendall(upload_head(till, 1000) + b"x" * 10)
        elif kind == "a byte now and then":
            sock.sendall(upload_head(till, 100_000))
            sock.settimeout(0.1)
            end = time.monotonic() + WAIT_S
            while True:
                assert time.monotonic() < end, "it is never dropped"
                try:
                    sock.sendall(b"x")
                    if sock.recv(100) == b"":
                        return
                except TimeoutError:
                    continue
                except (ConnectionResetError, BrokenPipeError):
                    return
        elif kind == "empty lines":
            sock.sendall(b"GET /v1/alive HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
            sock.sendall(b"\r\n")
        assert gone(sock) == b""


def test_a_head_without_end_is_refused(shop: Shop) -> None:
    """Whether in one header, in many, or in the address; the answer is a problem like any other."""
    for piece in (b"X-Long: " + b"a" * 1000, b"X: y\r\n" * 200):
        with connected(shop) as sock:
            sock.sendall(b"GET /v1/alive HTTP/1.1\r\nHost: x\r\n")
            try:
                for _ in range(200):
                    sock.sendall(piece)
            except (ConnectionResetError, BrokenPipeError):
                continue
            told = gone(sock)
            assert not told or b" 431 " in told or b" 400 " in told, told[:200]
    with connected(shop) as sock:
        sock.sendall(b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b'"definite":true' in gone(sock)


def test_what_is_no_http_is_told_so(shop: Shop) -> None:
    """As a problem in JSON."""
    with connected(shop) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        told = gone(sock)
        assert told.startswith(b"HTTP/1.1 400")
        assert b'"code":"request_invalid"' in told


def test_stalled_uploaders_and_readers_hold_nobody_up(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hundred of each, another till shakes hands and uploads all the same, and memory stays flat."""
    monkeypatch.setattr(listening, "HEAD_S", 60.0)
    monkeypatch.setattr(listening, "BODY_S", 60.0)
    monkeypatch.setattr(listening, "READ_STALL_S", 60.0)
    stalling, honest = shop.till("T01"), shop.till("T02")
    before = psutil.Process().memory_info().rss
    with ExitStack() as stack:
        for _ in range(100):
            uploader = stack.enter_context(connected(shop))
            uploader.sendall(upload_head(stalling, 4 * MIB) + b"x" * 1000)
            reader = stack.enter_context(connected(shop))
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            ask = f"GET /v1/load/price HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stalling.token}\r\n\r\n"
            reader.sendall(ask.encode() * 20)
        for _ in range(20):
            honest.sell()
            honest.greet()
            assert honest.flush().seq == len(honest.payloads)
        grown = psutil.Process().memory_info().rss - before
    assert grown < 48 * MIB, f"{grown / MIB:.0f} MiB for two hundred stalled connections"


def test_a_zstandard_bomb_is_refused_before_it_is_unpacked(shop: Shop) -> None:
    """A frame that claims, or is, more than a body may hold."""
    till = shop.till("T01")
    bomb = zstandard.ZstdCompressor().compress(bytes(128 * MIB))
    assert len(bomb) < 64 * 1024
    before = psutil.Process().memory_info().rss
    for _ in range(5):
        answer = till.post_bytes("/v1/journal", bomb)
        assert (answer.status, answer.json["code"]) == (413, "too_large")
    liar = bytearray(zstandard.ZstdCompressor().compress(bytes(100)))
    assert till.post_bytes("/v1/journal", bytes(liar[:-1])).status == 400
    assert psutil.Process().memory_info().rss - before < 16 * MIB
