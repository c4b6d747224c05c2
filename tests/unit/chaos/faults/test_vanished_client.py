from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from chaos.errors import FaultFailed
from chaos.faults.base import Context, HalfUpload
from chaos.faults.vanished_client import VanishedClient
from tests.unit.chaos.faults.shop import FakeShop, context_of, shop_of, suffered


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made
    while VanishedClient.held:
        VanishedClient.held.pop().close()


def context(listener: socket.socket, shop: FakeShop | None = None) -> Context:
    """Return a context in which the server's upload is known."""
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    upload = HalfUpload(url=url, path="/v1/journal", headers={"Authorization": "x"}, body=b"half", length=8)
    return context_of(shop or shop_of(), half_uploads={"server": upload})


def test_it_bites_a_server_that_is_left_waiting(listener: socket.socket) -> None:
    """All that was sent is with the server's machine, nothing came back, and others are answered."""
    bite, healed = suffered(context(listener), VanishedClient(("server",)))
    assert (bite.bit, healed.ok) == (True, True), (bite, healed)
    taken, _ = listener.accept()
    with taken:
        request = taken.recv(4096)
    assert request.startswith(b"POST /v1/journal")
    assert b"Content-Length: 8" in request
    assert request.endswith(b"half")


def test_a_server_that_answers_half_an_upload_was_not_left_waiting(listener: socket.socket) -> None:
    """Then there is no vanished client."""
    one, there = VanishedClient(("server",)), context(listener)
    one.inject(there)
    taken, _ = listener.accept()
    taken.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    one.lift(there)
    taken.close()
    assert one.evidence(there).bit is False


def test_a_server_that_answers_nobody_afterwards_is_told(listener: socket.socket) -> None:
    """The read-back is not ok."""
    shop = shop_of()
    shop.states["server"] = "paused"
    assert not suffered(context(listener, shop), VanishedClient(("server",)))[1].ok


def test_a_server_whose_upload_is_unknown_is_an_obstacle() -> None:
    """Said before the run."""
    assert "no upload" in (VanishedClient(("server",)).obstacle(context_of(shop_of())) or "")


def test_a_server_that_is_not_there_fails_the_fault(listener: socket.socket) -> None:
    """Nothing is claimed."""
    there = context(listener)
    listener.close()
    with pytest.raises(FaultFailed):
        VanishedClient(("server",)).inject(there)
