"""Parts of the built-in proxy and of the client that the contract can't reach."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from chaos.errors import CannotRun, ProxyRefused, ProxyUnavailable
from chaos.proxy.client import ProxyClient
from chaos.proxy.engine import choose
from chaos.proxy.toxics import ToxicRefused, ToxicSpec, delay_s, parse, slices


def dice(seed: int) -> random.Random:
    """Return seeded randomness."""
    return random.Random(seed)  # noqa: S311 - faults, not secrets


def spec(kind: str, **attributes: int) -> ToxicSpec:
    """Return a toxic."""
    return parse({"type": kind, "attributes": attributes})


def test_one_seed_gives_the_same_jitter() -> None:
    """And another seed another one."""
    toxic = [spec("latency", latency=100, jitter=50)]
    first, again, other = ([delay_s(toxic, lot) for _ in range(3)] for lot in (dice(7), dice(7), dice(8)))
    assert first == again != other
    assert len(set(first)) == 3
    assert all(0.05 <= delay <= 0.15 for delay in first + other)


def test_slices_lose_and_swap_nothing() -> None:
    """Whatever sizes the dice give, the pieces join to the chunk."""
    chunk = dice(1).randbytes(50_000)
    toxics = [spec("slicer", average_size=64, size_variation=63), spec("bandwidth", rate=10)]
    pieces = list(slices(chunk, toxics, dice(2)))
    assert b"".join(piece for piece, _ in pieces) == chunk
    assert sum(pause for _, pause in pieces) == pytest.approx(5.0)


def test_a_chunk_without_shaping_is_not_paused() -> None:
    """Only slicer and bandwidth take time here."""
    assert sum(pause for _, pause in slices(b"x" * 100_000, [], dice(1))) == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "magic"},
        {"type": "latency", "stream": "sideways"},
        {"type": "latency", "toxicity": 2},
        {"type": "latency", "toxicity": True},
        {"type": "latency", "attributes": {"latency": -1}},
        {"type": "latency", "attributes": {"latency": "5"}},
        {"type": "latency", "attributes": [1]},
        {"type": "latency", "name": 5},
    ],
)
def test_wrong_toxics_are_refused(body: dict[str, object]) -> None:
    """Kind, stream, toxicity, attributes, name."""
    with pytest.raises(ToxicRefused):
        parse(body)


class Failing(BaseHTTPRequestHandler):
    """Answers 503, as a wedged Toxiproxy does."""

    def do_GET(self) -> None:
        """Fail."""
        self.send_error(503)

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def failing() -> Iterator[ProxyClient]:
    """A client of a server that always fails."""
    with HTTPServer(("127.0.0.1", 0), Failing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield ProxyClient("127.0.0.1", server.server_port)
        server.shutdown()
        thread.join()


def test_a_server_error_is_raised_and_not_called_false(failing: ProxyClient) -> None:
    """The library returns a false value there, and nobody looks at it."""
    with pytest.raises(ProxyUnavailable, match="503"):
        failing.proxies()


def test_a_server_that_does_not_answer_runs_into_the_time_out() -> None:
    """The library would wait for ever."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = ProxyClient("127.0.0.1", deaf.getsockname()[1], timeout_s=0.1)
        with pytest.raises(ProxyUnavailable, match="timed out"):
            client.proxies()


def test_a_server_that_is_not_there_is_unavailable() -> None:
    """And not refused: nothing was decided."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(ProxyUnavailable) as caught:
        ProxyClient("127.0.0.1", port).proxies()
    assert not isinstance(caught.value, ProxyRefused)


def test_the_engine_is_the_named_toxiproxy_the_one_on_path_or_the_built_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In that order; a wrong name is an error rather than a quiet change of engine."""
    monkeypatch.delenv("TILLPROOF_TOXIPROXY", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose("auto").name == "builtin"
    binary = tmp_path / "toxiproxy-server"
    binary.write_text("#!/bin/sh\n")
    binary.chmod(0o755)
    assert choose("auto").program == binary
    assert choose("builtin").program is None
    monkeypatch.setenv("TILLPROOF_TOXIPROXY", str(tmp_path / "other"))
    with pytest.raises(CannotRun, match="not an executable file"):
        choose("auto")
