from __future__ import annotations

import pytest

from chaos.errors import FaultFailed
from chaos.faults.disk_rollback import DiskRollback
from tests.unit.chaos.faults.disks import FakeDisks
from tests.unit.chaos.faults.shop import FakeShop, context_of, shop_of, suffered


@pytest.fixture
def shop() -> FakeShop:
    """One till."""
    return shop_of()


def test_it_bites_a_till_that_wrote_since_the_copy(shop: FakeShop) -> None:
    """It names how far the till goes back, what had arrived and what is lost."""
    shop.wires["T01"].cut()
    bite, healed = suffered(context_of(shop, disks=FakeDisks(shop)), DiskRollback(("T01",)))
    assert (bite.bit, healed.ok) == (True, True), bite
    assert bite.text.startswith("T01: back from entry 40 to 10; 0 of what is gone had reached the server, 30 are")
    assert shop.states["T01"] == "running"


def test_it_does_not_bite_a_till_that_wrote_nothing(shop: FakeShop) -> None:
    """Then the copy is the disk."""
    shop.tills["T01"].sells = False
    bite, healed = suffered(context_of(shop, disks=FakeDisks(shop)), DiskRollback(("T01",)))
    assert (bite.bit, healed.ok, bite.text) == (False, True, "T01: wrote nothing since the copy of entry 10")


def test_a_disk_that_could_not_be_put_back_is_told_and_tried_again(shop: FakeShop) -> None:
    """The till is not started on the disk that it had; a second lift finishes."""
    disks = FakeDisks(shop, broken={"put_back"})
    context, one = context_of(shop, disks=disks), DiskRollback(("T01",))
    one.inject(context)
    with pytest.raises(FaultFailed):
        one.lift(context)
    assert (one.verify(context).ok, one.evidence(context).bit, shop.states["T01"]) == (False, None, "stopped")
    disks.broken.clear()
    one.lift(context)
    assert one.verify(context).ok


def test_an_unreadable_till_proves_nothing(shop: FakeShop) -> None:
    """Whether it went on from the copy can't be told."""
    shop.tills["T01"].readable = False
    bite, _ = suffered(context_of(shop, disks=FakeDisks(shop)), DiskRollback(("T01",)))
    assert bite.bit is None


def test_a_copy_that_failed_leaves_the_till_alone(shop: FakeShop) -> None:
    """Nothing is put back of what was never kept."""
    context, one = context_of(shop, disks=FakeDisks(shop, broken={"keep"})), DiskRollback(("T01",))
    with pytest.raises(FaultFailed):
        one.inject(context)
    one.lift(context)
    assert shop.states["T01"] == "running"


def test_a_system_without_such_disks_is_an_obstacle(shop: FakeShop) -> None:
    """It is said before the run."""
    told = DiskRollback(("T01",)).obstacle(context_of(shop))
    assert told == "no way to copy a till's disk is planned for this system"
    assert DiskRollback(("T09",)).obstacle(context_of(shop, disks=FakeDisks(shop))) == "there is no node T09"


def test_a_till_whose_disk_is_as_it_left_it_goes_on_when_the_lab_gives_up(shop: FakeShop) -> None:
    """It was stopped for nothing: it may not hold up the rest of the run."""
    context, one = context_of(shop, disks=FakeDisks(shop, broken={"put_back"})), DiskRollback(("T01",))
    one.inject(context)
    with pytest.raises(FaultFailed):
        one.lift(context)
    assert (one.give_up(context), shop.states["T01"], one.verify(context).ok) == ((), "running", False)


def test_a_till_is_not_started_on_half_a_disk(shop: FakeShop) -> None:
    """It is told as left behind instead."""
    context, one = (
        context_of(shop, disks=FakeDisks(shop, broken={"put_back"}, torn={"T01"})),
        DiskRollback(("T01",)),
    )
    one.inject(context)
    with pytest.raises(FaultFailed):
        one.lift(context)
    assert (one.give_up(context), shop.states["T01"]) == (("T01",), "stopped")
