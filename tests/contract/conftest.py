"""The proxy servers under contract: the built-in one, and a real Toxiproxy where there is one."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from chaos.errors import CannotRun, ProxyUnavailable
from chaos.proxy.client import ProxyClient
from chaos.proxy.engine import Engine, choose
from tests.contract.peers import WAIT_S, EchoServer

REQUIRED = "TILLPROOF_REQUIRE_TOXIPROXY"


def engine_or_skip(name: str) -> Engine:
    """Return the engine; without a Toxiproxy its tests are skipped, or fail where it is required."""
    try:
        return choose("builtin" if name == "builtin" else "toxiproxy")
    except CannotRun as error:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{REQUIRED}=1, but {error}")
        pytest.skip(str(error))


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(engine: Engine, *, seed: int = 7) -> tuple[subprocess.Popen[bytes], ProxyClient]:
    """Start a proxy server and wait until it answers."""
    port = free_port()
    process = subprocess.Popen(engine.argv("127.0.0.1", port, seed), stdout=subprocess.DEVNULL)
    client = ProxyClient("127.0.0.1", port)
    end = time.monotonic() + WAIT_S
    while True:
        try:
            client.proxies()
        except ProxyUnavailable:
            if time.monotonic() > end or process.poll() is not None:
                process.kill()
                process.wait()
                raise
            time.sleep(0.02)
        else:
            return process, client


@pytest.fixture(scope="module", params=["builtin", pytest.param("toxiproxy", marks=pytest.mark.toxiproxy)])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    return engine_or_skip(request.param)


@pytest.fixture(scope="module")
def server(engine: Engine) -> Iterator[ProxyClient]:
    """A running proxy server."""
    process, client = started(engine)
    yield client
    process.terminate()
    process.wait(WAIT_S)


@pytest.fixture
def client(server: ProxyClient) -> Iterator[ProxyClient]:
    """The server with no proxies before and after."""
    yield server
    for name in server.proxies():
        server.lift(name)
        server.delete(name)


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    """A server to forward to."""
    there = EchoServer()
    yield there
    there.close()


@pytest.fixture
def way(client: ProxyClient, echo: EchoServer) -> str:
    """The address of a proxy named "T01:server" before the echo server."""
    return client.create("T01:server", listen=f"127.0.0.1:{free_port()}", upstream=echo.address).listen
