from __future__ import annotations

from chaos.faults.noop import Noop
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered


def test_it_never_bites_and_leaves_nothing() -> None:
    """A run with it alone can't be GO."""
    bite, healed = suffered(context_of(shop_of()), Noop(("T01",)))
    assert (bite.bit, healed.ok) == (False, True)
