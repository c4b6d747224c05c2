from __future__ import annotations

import pytest

from chaos.errors import FaultFailed
from chaos.faults import duplicate_uploader
from chaos.faults.clone_till import CloneTill
from tests.unit.chaos.faults.disks import FakeDisks
from tests.unit.chaos.faults.shop import FakeShop, context_of, shop_of, suffered


@pytest.fixture
def shop() -> FakeShop:
    """One till."""
    return shop_of()


@pytest.mark.parametrize(
    ("ports", "sold", "bit"),
    [({1}, (3, True), True), ({443}, (3, True), False), ({1}, (0, True), False), ({1}, (3, False), False)],
)
def test_it_bites_when_both_sell_and_the_copy_meets_a_server(
    shop: FakeShop, monkeypatch: pytest.MonkeyPatch, ports: set[int], sold: tuple[int, bool], bit: bool
) -> None:
    """A copy that sells nothing, or meets no server, or whose till stands still, proves nothing."""
    monkeypatch.setattr(duplicate_uploader, "connected_to", lambda pid: ports)
    by_copy, shop.tills["T01"].sells = sold
    disks = FakeDisks(shop, copy_sells=by_copy)
    bite, healed = suffered(context_of(shop, disks=disks), CloneTill(("T01",)))
    assert (bite.bit, healed.ok, disks.selling) == (bit, True, set()), bite


def test_a_copy_at_which_somebody_still_sells_is_told(shop: FakeShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lift failed; another one ends it."""
    monkeypatch.setattr(duplicate_uploader, "connected_to", lambda pid: {1})
    disks = FakeDisks(shop, broken={"stop_selling_at"})
    context, one = context_of(shop, disks=disks), CloneTill(("T01",))
    one.inject(context)
    with pytest.raises(FaultFailed):
        one.lift(context)
    assert one.verify(context).text == "somebody still sells at T01-clone"
    disks.broken.clear()
    one.lift(context)
    assert one.verify(context).ok


def test_nobody_sells_at_a_copy_any_more_although_the_proxy_can_not_be_asked(shop: FakeShop) -> None:
    """The last look is for the evidence; a copy that sold on would keep the shop from coming to rest."""
    disks = FakeDisks(shop)
    context, one = context_of(shop, disks=disks), CloneTill(("T01",))
    one.inject(context)
    shop.wires["T01"].wedged = True
    one.lift(context)
    assert (one.verify(context).ok, disks.selling) == (True, set())


def test_unreadable_heads_prove_nothing(shop: FakeShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the till itself sold can't be told."""
    monkeypatch.setattr(duplicate_uploader, "connected_to", lambda pid: {1})
    shop.tills["T01"].readable = False
    bite, _ = suffered(context_of(shop, disks=FakeDisks(shop)), CloneTill(("T01",)))
    assert bite.bit is None


def test_a_system_without_such_disks_is_an_obstacle(shop: FakeShop) -> None:
    """It is said before the run."""
    assert CloneTill(("T01",)).obstacle(context_of(shop)) == "no way to copy a till is planned for this system"
