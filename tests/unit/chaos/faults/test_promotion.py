from __future__ import annotations

from dataclasses import replace

from chaos.faults.promotion import Promotion
from tests.unit.chaos.faults.shop import context_of, pair_context, pair_of, suffered

STANDBY = ("preproduction",)


def test_it_bites_while_tills_upload_and_the_old_server_stops() -> None:
    """Entries came just before; the standby is live in a higher term, the old one fenced."""
    bite, healed = suffered(pair_context(pair_of()), Promotion(STANDBY))
    assert (bite.bit, healed.ok) == (True, True)
    assert "live in term 2, server fenced" in bite.text


def test_a_promotion_while_nobody_sells_does_not_bite() -> None:
    """The step it is aimed at are the uploads."""
    shop = pair_of()
    shop.tills["T01"].sells = False
    assert suffered(pair_context(shop), Promotion(STANDBY))[0].bit is False


def test_a_till_that_could_not_be_read_at_first_brought_nothing() -> None:
    """All that the server has of it is no arrival of these two seconds."""
    shop = pair_of()
    till = shop.tills["T01"]
    till.sells, till.readable = False, False
    context = pair_context(shop)

    def readable_again(seconds: float) -> None:
        till.readable = True
        shop.sleep(seconds)

    assert suffered(replace(context, sleep=readable_again), Promotion(STANDBY))[0].bit is False


def test_a_server_that_was_live_already_was_not_promoted() -> None:
    """It must have been a standby."""
    shop = pair_of()
    shop.logs["preproduction"] = shop.logs["server"]
    assert suffered(pair_context(shop), Promotion(STANDBY))[0].bit is False


def test_two_live_servers_are_no_end_of_it() -> None:
    """The read-back wants exactly one."""
    shop = pair_of()
    shop.logs["preproduction"] = shop.logs["server"]
    assert not Promotion(STANDBY).verify(pair_context(shop)).ok


def test_a_system_without_the_command_is_an_obstacle() -> None:
    """It is said before the run."""
    assert Promotion(STANDBY).obstacle(context_of(pair_of()))
