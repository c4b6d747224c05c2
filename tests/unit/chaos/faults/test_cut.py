from __future__ import annotations

from chaos.errors import ProxyUnavailable
from chaos.faults.cut import Cut
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered


def test_it_bites_a_till_that_sells_meanwhile() -> None:
    """The till writes entries, the server gets none, and the link is whole afterwards."""
    shop = shop_of("T01", "T02")
    bite, healed = suffered(context_of(shop), Cut(("T01",)))
    assert (bite.bit, healed.ok) == (True, True)
    assert "the server got none" in bite.text
    assert shop.tills["T02"].acked == shop.tills["T02"].head


def test_it_does_not_bite_a_till_that_goes_another_way() -> None:
    """A link that nobody uses: entries arrive all the same."""
    shop = shop_of()
    shop.tills["T01"].detour = True
    bite, _ = suffered(context_of(shop), Cut(("T01",)))
    assert bite.bit is False
    assert "all the same" in bite.text


def test_it_does_not_bite_a_till_that_sells_nothing() -> None:
    """Without a sale nothing was held back."""
    shop = shop_of()
    shop.tills["T01"].sells = False
    assert suffered(context_of(shop), Cut(("T01",)))[0].bit is False


def test_it_proves_nothing_when_the_witnesses_are_silent() -> None:
    """Readings that can't be had are no evidence, either way."""
    shop = shop_of()
    shop.tills["T01"].readable = False
    assert suffered(context_of(shop), Cut(("T01",)))[0].bit is None


def test_the_weakest_target_counts() -> None:
    """One till that was not hit spoils the evidence."""
    shop = shop_of("T01", "T02")
    shop.tills["T02"].detour = True
    assert suffered(context_of(shop), Cut(("T01", "T02")))[0].bit is False


def test_a_request_that_comes_through_refutes_it() -> None:
    """The link itself must have failed as it had to: refused."""
    shop = shop_of()
    one = Cut(("T01",))
    one.inject(context_of(shop))
    shop.wires["T01"].heal()  # somebody else healed it too early
    shop.sleep(1)
    one.lift(context_of(shop))
    assert one.evidence(context_of(shop)).bit is False


def test_a_failed_heal_is_told() -> None:
    """When the proxy server does not answer, the lift raises and the read-back is not ok."""
    shop = shop_of()
    one = Cut(("T01",))
    one.inject(context_of(shop))
    shop.wires["T01"].wedged = True
    try:
        one.lift(context_of(shop))
    except ProxyUnavailable:
        assert not one.verify(context_of(shop)).ok
    else:
        raise AssertionError("a wedged proxy was healed")


def test_a_link_that_can_not_be_opened_is_left_behind() -> None:
    """The proxy server's failure is not the till's."""
    shop = shop_of()
    context, one = context_of(shop), Cut(("T01",))
    one.inject(context)
    shop.wires["T01"].wedged = True
    assert one.give_up(context) == ("T01",)
    shop.wires["T01"].wedged = False
    one.lift(context)
    assert one.give_up(context) == ()
