from __future__ import annotations

from chaos.faults.lost_ack import LostAck
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered


def test_it_bites_when_the_server_has_what_the_till_does_not_know() -> None:
    """The proof names both sequences."""
    shop = shop_of()
    bite, healed = suffered(context_of(shop), LostAck(("T01",)))
    assert (bite.bit, healed.ok) == (True, True)
    assert "the till knew of 14" in bite.text


def test_an_ack_that_is_under_way_is_no_loss() -> None:
    """The server is ahead at every look, but what it had at one look is known at the next."""
    shop = shop_of()
    till = shop.tills["T01"]
    till.sells, till.detour = False, True
    one = LostAck(("T01",))
    one.inject(context_of(shop))
    for _ in range(6):
        till.acked, till.at_server, till.head = till.at_server, till.at_server + 5, till.head + 5
        till.detour = False
        shop.wires["T01"].outcome = lambda: "refused"  # type: ignore[method-assign] # nothing moves by itself
        shop.clock_s += 0.5
        one.observe(context_of(shop))
    assert one.evidence(context_of(shop)).bit is False


def test_it_does_not_bite_an_unused_link() -> None:
    """Every ack arrives."""
    shop = shop_of()
    shop.tills["T01"].detour = True
    bite, healed = suffered(context_of(shop), LostAck(("T01",)))
    assert (bite.bit, healed.ok) == (False, True)


def test_a_cut_that_came_too_early_is_tried_again() -> None:
    """While the till only shakes hands, the server gets no entry: heal, let the till catch up, cut again."""
    shop = shop_of()
    wire, till = shop.wires["T01"], shop.tills["T01"]
    one = LostAck(("T01",))
    true_outcome = wire.outcome
    wire.outcome = lambda: "silent" if one.attempts == 1 and wire.toxics else true_outcome()  # type: ignore[method-assign]
    one.inject(context_of(shop))
    for _ in range(30):
        shop.sleep(0.5)
        one.observe(context_of(shop))
        till.sells = till.acked < till.head or not till.sells  # now and then a moment to catch up
    one.lift(context_of(shop))
    assert one.attempts == 2
    assert one.evidence(context_of(shop)).bit is True


def test_a_single_long_look_is_enough() -> None:
    """Without looks in between, the lift takes two readings some time apart."""
    assert suffered(context_of(shop_of()), LostAck(("T01",)), looks=0)[0].bit is False  # no time to lose an ack
    shop = shop_of()
    one = LostAck(("T01",))
    one.inject(context_of(shop))
    shop.sleep(2)
    one.lift(context_of(shop))
    assert one.evidence(context_of(shop)).bit is True
