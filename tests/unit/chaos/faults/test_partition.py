from __future__ import annotations

import pytest

from chaos.faults.partition import Partition
from tests.unit.chaos.faults.shop import pair_context, pair_of, suffered

STANDBY = ("postgres-standby",)


def test_it_bites_when_the_log_grows_and_does_not_arrive() -> None:
    """The link is cut; what the live server writes the standby does not receive."""
    shop = pair_of()
    bite, healed = suffered(pair_context(shop), Partition(STANDBY))
    assert (bite.bit, healed.ok) == (True, True)
    assert shop.wires["postgres-standby"].enabled


def test_a_standby_with_another_way_to_its_primary_was_not_parted() -> None:
    """It received all the same."""
    shop = pair_of()
    shop.wires["detour"] = shop.wires.pop("postgres-standby")
    shop.wires["postgres-standby-peer"] = shop.wires["detour"]
    assert Partition(STANDBY).obstacle(pair_context(shop)) is not None
    own = pair_of("T01")
    assert suffered(pair_context(own), Partition(("T01",)))[0].bit is False


def test_a_server_that_writes_nothing_shows_no_partition() -> None:
    """Nothing was held back."""
    shop = pair_of()
    shop.logs["server"] = None
    assert suffered(pair_context(shop), Partition(STANDBY))[0].bit is False


@pytest.mark.parametrize(("looks", "bit"), [(0, None), (1, None), (2, True)])
def test_a_standby_that_was_not_read_twice_shows_nothing(looks: int, bit: bool | None) -> None:
    """That it received none of the log is known from the first reading to the last."""
    shop = pair_of()
    context, one = pair_context(shop), Partition(STANDBY)
    before, shop.logs["preproduction"] = shop.logs["preproduction"], None
    one.inject(context)
    shop.logs["preproduction"] = before
    for _ in range(looks):
        context.sleep(0.5)
        one.observe(context)
    one.lift(context)
    assert one.evidence(context).bit is bit


def test_a_link_that_can_not_be_healed_is_told() -> None:
    """The read-back says so."""
    shop = pair_of()
    one, context = Partition(STANDBY), pair_context(shop)
    one.inject(context)
    assert not one.verify(context).ok
