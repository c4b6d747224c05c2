from __future__ import annotations

from chaos.faults.kill import Kill
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered


def test_it_bites_a_running_node() -> None:
    """It died of the signal, did not answer, and lives on as another process."""
    bite, healed = suffered(context_of(shop_of()), Kill(("T01", "server")))
    assert (bite.bit, healed.ok) == (True, True)
    assert "process 1 killed, runs as 2" in bite.text


def test_a_node_that_was_down_already_was_not_killed() -> None:
    """There was nothing to kill."""
    shop = shop_of()
    shop.states["T01"] = "stopped"
    assert suffered(context_of(shop), Kill(("T01",)))[0].bit is False


def test_a_node_that_ended_otherwise_was_not_killed() -> None:
    """The exit status must be the signal's."""
    shop = shop_of()
    shop.statuses["T01"] = 0
    assert suffered(context_of(shop), Kill(("T01",)))[0].bit is False


def test_a_node_that_still_answers_was_not_killed() -> None:
    """Somebody else serves in its place."""
    shop = shop_of()
    shop.immortal.add("T01")
    assert suffered(context_of(shop), Kill(("T01",)))[0].bit is False


def test_a_node_that_does_not_come_back_is_told() -> None:
    """The read-back is not ok."""
    shop = shop_of()
    one = Kill(("T01",))
    one.inject(context_of(shop))
    assert not one.verify(context_of(shop)).ok


def test_an_unknown_node_is_an_obstacle() -> None:
    """It is said before the run."""
    assert Kill(("T99",)).obstacle(context_of(shop_of())) == "there is no node T99"
