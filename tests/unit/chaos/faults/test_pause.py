from __future__ import annotations

from chaos.faults.pause import Pause
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered


def test_it_bites_a_running_node() -> None:
    """It stood still, answered nothing, and goes on as the same process."""
    bite, healed = suffered(context_of(shop_of()), Pause(("T01",)))
    assert (bite.bit, healed.ok) == (True, True)


def test_a_node_that_went_on_was_not_paused() -> None:
    """Somebody resumed it, or it never stood."""
    shop = shop_of()
    shop.immortal.add("T01")
    assert suffered(context_of(shop), Pause(("T01",)))[0].bit is False


def test_a_node_that_was_replaced_was_not_paused_to_the_end() -> None:
    """Another process afterwards means that the first one died."""
    shop = shop_of()
    one = Pause(("T01",))
    one.inject(context_of(shop))
    one.lift(context_of(shop))
    shop.start("T01")
    assert one.evidence(context_of(shop)).bit is False


def test_a_node_left_standing_is_told() -> None:
    """The read-back is not ok."""
    shop = shop_of()
    one = Pause(("T01",))
    one.inject(context_of(shop))
    assert one.verify(context_of(shop)).text == "T01 is paused"
