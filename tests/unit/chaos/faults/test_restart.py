from __future__ import annotations

from chaos.faults.restart import Restart
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered


def test_it_bites_a_running_node() -> None:
    """It ended, did not answer, and lives on as another process; the evidence has its exit status."""
    bite, healed = suffered(context_of(shop_of()), Restart(("T01",)))
    assert (bite.bit, healed.ok) == (True, True)
    assert "ended with 0" in bite.text


def test_a_node_that_does_not_end_was_not_restarted() -> None:
    """It goes on answering."""
    shop = shop_of()
    shop.immortal.add("T01")
    assert suffered(context_of(shop), Restart(("T01",)))[0].bit is False


def test_a_node_that_was_down_already_was_not_restarted() -> None:
    """There was nothing to end."""
    shop = shop_of()
    shop.states["T01"] = "ended"
    assert suffered(context_of(shop), Restart(("T01",)))[0].bit is False
