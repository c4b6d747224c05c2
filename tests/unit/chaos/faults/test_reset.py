from __future__ import annotations

from chaos.faults.reset import Reset
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered


def test_it_bites_a_till_that_sends() -> None:
    """A request was reset, and the till sent bytes into it."""
    bite, healed = suffered(context_of(shop_of()), Reset(("T01",)))
    assert (bite.bit, healed.ok) == (True, True)


def test_it_does_not_bite_an_unused_link() -> None:
    """Nobody sent anything."""
    shop = shop_of()
    shop.tills["T01"].detour = True
    assert suffered(context_of(shop), Reset(("T01",)))[0].bit is False


def test_a_request_that_was_answered_refutes_it() -> None:
    """A reset that does not reset is found out."""
    shop = shop_of()
    shop.wires["T01"].outcome = lambda: "answered"  # type: ignore[method-assign]
    assert suffered(context_of(shop), Reset(("T01",)))[0].bit is False
