from __future__ import annotations

from chaos.faults.kill_live import KillLive
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered

TARGETS = ("server", "postgres")


def test_it_bites_what_ran_and_leaves_it_dead() -> None:
    """All died of the signal, answered nobody, and are not started again."""
    shop = shop_of()
    bite, healed = suffered(context_of(shop), KillLive(TARGETS))
    assert (bite.bit, healed.ok) == (True, True)
    assert {shop.states[node] for node in TARGETS} == {"stopped"}
    assert "postgres is stopped" in healed.text


def test_one_that_was_down_already_was_not_killed() -> None:
    """The weakest target counts."""
    shop = shop_of()
    shop.states["postgres"] = "stopped"
    assert suffered(context_of(shop), KillLive(TARGETS))[0].bit is False


def test_one_that_ended_otherwise_was_not_killed() -> None:
    """The exit status must be the signal's."""
    shop = shop_of()
    shop.statuses["server"] = 0
    assert suffered(context_of(shop), KillLive(TARGETS))[0].bit is False


def test_one_that_still_answers_was_not_killed() -> None:
    """Somebody else serves in its place."""
    shop = shop_of()
    shop.immortal.add("server")
    assert suffered(context_of(shop), KillLive(TARGETS))[0].bit is False
