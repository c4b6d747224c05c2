from __future__ import annotations

from chaos.faults.old_server_returns import OldServerReturns
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered

TARGETS = ("postgres", "server")


def test_it_bites_when_what_was_down_answers_again() -> None:
    """Database and server had been killed before."""
    shop = shop_of()
    for node in TARGETS:
        shop.states[node] = "stopped"
    bite, healed = suffered(context_of(shop), OldServerReturns(TARGETS))
    assert (bite.bit, healed.ok) == (True, True)


def test_one_that_never_went_does_not_return() -> None:
    """It ran all the time."""
    shop = shop_of()
    shop.states["postgres"] = "stopped"
    bite, _ = suffered(context_of(shop), OldServerReturns(TARGETS))
    assert (bite.bit, bite.text) == (False, "server had not been down")


def test_one_that_goes_again_is_told() -> None:
    """It came back for a moment; at the end nobody runs."""
    shop = shop_of()
    shop.states["server"] = "stopped"
    one = OldServerReturns(("server",))
    one.inject(context_of(shop))
    shop.states["server"] = "ended"
    one.lift(context_of(shop))
    assert one.evidence(context_of(shop)).bit is False
    assert not one.verify(context_of(shop)).ok
