from __future__ import annotations

import pytest

from chaos.errors import FaultFailed
from chaos.faults.reimage_till import ReimageTill
from tests.unit.chaos.faults.disks import FakeDisks
from tests.unit.chaos.faults.shop import FakeShop, context_of, shop_of, suffered


@pytest.fixture
def shop() -> FakeShop:
    """One till that has sold offline."""
    there = shop_of()
    there.wires["T01"].cut()
    there.sleep(1)
    return there


def test_it_bites_a_till_with_unsynced_sales(shop: FakeShop) -> None:
    """The disk is lost, the till set up anew, and its day opened."""
    disks = FakeDisks(shop)
    bite, healed = suffered(context_of(shop, disks=disks), ReimageTill(("T01",)))
    assert (bite.bit, healed.ok, disks.opened) == (True, True, ["T01"]), bite
    assert bite.text.startswith(
        "T01: disk lost with 20 entries, of which 10 had reached the server and 10 are lost"
    )


def test_it_does_not_bite_when_everything_had_arrived(shop: FakeShop) -> None:
    """Then nothing is at stake."""
    shop.wires["T01"].heal()
    shop.sleep(1)
    bite, healed = suffered(context_of(shop, disks=FakeDisks(shop)), ReimageTill(("T01",)))
    assert (bite.bit, healed.ok) == (False, True)


@pytest.mark.parametrize("step", ["provision", "reopen"])
def test_a_set_up_that_fails_is_told_and_tried_again(shop: FakeShop, step: str) -> None:
    """Nothing is done twice."""
    disks = FakeDisks(shop, broken={step})
    context, one = context_of(shop, disks=disks), ReimageTill(("T01",))
    one.inject(context)
    with pytest.raises(FaultFailed):
        one.lift(context)
    assert one.evidence(context).bit is None
    disks.broken.clear()
    one.lift(context)
    one.lift(context)
    assert (one.evidence(context).bit, one.verify(context).ok, disks.opened) == (True, True, ["T01"])


def test_a_till_that_did_not_run_is_not_bitten(shop: FakeShop) -> None:
    """Its disk is lost all the same, and that is told."""
    shop.states["T01"] = "stopped"
    bite, _ = suffered(context_of(shop, disks=FakeDisks(shop)), ReimageTill(("T01",)))
    assert bite.bit is False


def test_a_system_without_such_disks_is_an_obstacle(shop: FakeShop) -> None:
    """It is said before the run."""
    assert ReimageTill(("T01",)).obstacle(context_of(shop)) == "no way to set a till up is planned for this system"


def test_a_till_whose_disk_could_not_be_lost_goes_on_with_it(shop: FakeShop) -> None:
    """It was stopped for nothing, and its disk is as it left it."""
    context, one = context_of(shop, disks=FakeDisks(shop, broken={"wipe"})), ReimageTill(("T01",))
    with pytest.raises(FaultFailed):
        one.inject(context)
    one.lift(context)
    assert (shop.states["T01"], one.evidence(context).bit, one.give_up(context)) == ("running", False, ())


def test_a_disk_that_is_half_lost_is_lost_before_the_till_is_started(shop: FakeShop) -> None:
    """As long as that fails the till is left behind."""
    disks = FakeDisks(shop, broken={"wipe"}, torn={"T01"})
    context, one = context_of(shop, disks=disks), ReimageTill(("T01",))
    for step in (one.inject, one.lift):
        with pytest.raises(FaultFailed):
            step(context)
    assert (shop.states["T01"], one.give_up(context)) == ("stopped", ("T01",))
    disks.broken.clear()
    one.lift(context)
    assert (shop.states["T01"], one.give_up(context), disks.opened) == ("running", (), ["T01"])


def test_a_till_that_could_not_be_set_up_is_left_behind(shop: FakeShop) -> None:
    """Its disk is empty."""
    context, one = context_of(shop, disks=FakeDisks(shop, broken={"provision"})), ReimageTill(("T01",))
    one.inject(context)
    with pytest.raises(FaultFailed):
        one.lift(context)
    assert one.give_up(context) == ("T01",)
