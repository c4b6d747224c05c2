from __future__ import annotations

import pytest

from chaos.faults import duplicate_uploader
from chaos.faults.duplicate_uploader import DuplicateUploader
from tests.unit.chaos.faults.shop import FakeShop, context_of, shop_of, suffered


@pytest.fixture
def shop() -> FakeShop:
    """A shop with a second uploader that is not started."""
    there = shop_of()
    there.states["T01-second"] = "new"
    return there


@pytest.mark.parametrize(("ports", "bit"), [({1, 443}, True), ({443}, False), (set(), False)])
def test_it_bites_when_the_duplicate_meets_a_server(
    shop: FakeShop, monkeypatch: pytest.MonkeyPatch, ports: set[int], bit: bool
) -> None:
    """Connected to the link's port (1) it uploads; connected elsewhere or nowhere it does nothing."""
    monkeypatch.setattr(duplicate_uploader, "connected_to", lambda pid: ports)
    context = context_of(shop, duplicates={"T01": "T01-second"})
    bite, healed = suffered(context, DuplicateUploader(("T01",)))
    assert (bite.bit, healed.ok) == (bit, True)


def test_one_that_stays_is_told(shop: FakeShop) -> None:
    """The read-back is not ok."""
    context = context_of(shop, duplicates={"T01": "T01-second"})
    one = DuplicateUploader(("T01",))
    one.inject(context)
    assert one.verify(context).text == "still there: T01-second"


def test_it_is_ended_although_the_proxy_can_not_be_asked(shop: FakeShop) -> None:
    """The last look is for the evidence alone."""
    context, one = context_of(shop, duplicates={"T01": "T01-second"}), DuplicateUploader(("T01",))
    one.inject(context)
    shop.wires["T01"].wedged = True
    one.lift(context)
    assert one.verify(context).ok


def test_a_system_without_one_is_an_obstacle(shop: FakeShop) -> None:
    """It is said before the run."""
    told = DuplicateUploader(("T01",)).obstacle(context_of(shop))
    assert told == "no second uploader is planned for T01"
