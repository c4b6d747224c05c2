from __future__ import annotations

from chaos.faults.slow_clerk import SlowClerk
from tests.unit.chaos.faults.shop import context_of, shop_of


def test_a_system_without_a_planned_change_is_an_obstacle() -> None:
    """It is said before the run; the rest needs a database (tests/integration/chaos)."""
    assert SlowClerk(("server",)).obstacle(context_of(shop_of())) == "no clerk's change is planned for this system"


def test_without_its_transaction_nothing_bit_and_nothing_is_left() -> None:
    """Lifting a clerk who never began is harmless."""
    one = SlowClerk(("server",))
    one.lift(context_of(shop_of()))
    assert one.evidence(context_of(shop_of())).bit is False
    assert one.verify(context_of(shop_of())).ok
