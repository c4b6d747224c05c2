from __future__ import annotations

from chaos.faults.unplug import Unplug
from tests.unit.chaos.faults.containers import containers_of
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered


def test_it_bites_a_till_that_sells_on() -> None:
    """The till writes entries, the server gets none, and it is on the network afterwards."""
    bite, healed = suffered(context_of(containers_of("T01", "T02")), Unplug(("T01",)))
    assert (bite.bit, healed.ok) == (True, True)
    assert "the server got none" in bite.text


def test_a_till_that_sold_nothing_was_not_bitten() -> None:
    """Nothing was held back."""
    fleet = containers_of()
    fleet.tills["T01"].sells = False
    assert suffered(context_of(fleet), Unplug(("T01",)))[0].bit is False


def test_a_till_that_was_plugged_in_too_early_was_not_bitten_to_the_end() -> None:
    """Somebody else put the cable back."""
    fleet = containers_of()
    one = Unplug(("T01",))
    one.inject(context_of(fleet))
    fleet.plug("T01")
    one.lift(context_of(fleet))
    assert one.evidence(context_of(fleet)).bit is False


def test_a_till_that_stays_off_is_told() -> None:
    """The engine does not have it on the network."""
    fleet = containers_of()
    fleet.immortal.add("T01")
    assert not suffered(context_of(fleet), Unplug(("T01",)))[1].ok


def test_it_needs_containers() -> None:
    """Elsewhere it is not run, and the reason is told."""
    assert "--fleet docker" in (Unplug(("T01",)).obstacle(context_of(shop_of())) or "")
    assert Unplug(("T01",)).obstacle(context_of(containers_of())) is None
    assert "no node T09" in (Unplug(("T09",)).obstacle(context_of(containers_of())) or "")
