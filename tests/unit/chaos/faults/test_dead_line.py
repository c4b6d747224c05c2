from __future__ import annotations

import http.client
from typing import Any

import pytest

from chaos.faults import dead_line
from chaos.faults.dead_line import DeadLine
from chaos.proxy.client import ProxyState, Toxic
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered


class Old(http.client.HTTPConnection):
    """A connection from before; `said` is what it comes to."""

    said = "silent"

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Ask."""
        if self.said == "silent":
            raise TimeoutError
        if self.said == "ended":
            raise ConnectionResetError

    def getresponse(self) -> Any:
        """Answer."""
        return self

    def read(self) -> bytes:
        """Nothing to read."""
        return b""


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> Old:
    """The connection that the fault opens before it begins."""
    connection = Old("127.0.0.1")
    monkeypatch.setattr(dead_line, "opened", lambda _link: connection)
    return connection


def test_it_bites_a_till_that_sells(old: Old) -> None:
    """Nothing got through while it lasted, the old connection stays silent, and a new request is answered."""
    bite, healed = suffered(context_of(shop_of()), DeadLine(("T01",)))
    assert (bite.bit, healed.ok) == (True, True), (bite, healed)
    assert "silent still" in bite.text


@pytest.mark.parametrize("said", ["ended", "answered"])
def test_a_line_that_tells_its_old_connections_did_not_die(old: Old, said: str) -> None:
    """A reset, an end or an answer is what a dead line never gives: a proxy that can't do it is found out."""
    old.said = said
    assert suffered(context_of(shop_of()), DeadLine(("T01",)))[0].bit is False


def test_what_arrives_on_a_new_connection_does_not_refute_it(old: Old) -> None:
    """A till may find the line good again at the moment it is spared."""
    shop = shop_of()
    wire, till, context = shop.wires["T01"], shop.tills["T01"], context_of(shop)
    spare = wire.spare

    def and_upload(toxic: Toxic) -> ProxyState:
        till.at_server = till.head
        return spare(toxic)

    wire.spare = and_upload  # type: ignore[method-assign]  # the till uses the spared line at once
    bite, healed = suffered(context, DeadLine(("T01",)))
    assert (bite.bit, healed.ok) == (True, True), bite


def test_a_till_that_sells_nothing_shows_nothing(old: Old) -> None:
    """There was nothing to swallow."""
    shop = shop_of()
    shop.tills["T01"].sells = False
    assert suffered(context_of(shop), DeadLine(("T01",)))[0].bit is not True


def test_a_till_that_goes_another_way_was_not_hit(old: Old) -> None:
    """Its entries reach the server all the same."""
    shop = shop_of()
    shop.tills["T01"].detour = True
    assert suffered(context_of(shop), DeadLine(("T01",)))[0].bit is not True
