from __future__ import annotations

import pytest

from chaos.faults.postgres_restart import PostgresRestart, PostgresRestartParameters
from tests.unit.chaos.faults.shop import context_of, shop_of, suffered


@pytest.mark.parametrize(("mode", "told"), [("fast", "ended with 0"), ("crash", "ended with -9")])
def test_it_takes_the_database_down_in_the_mode_asked_for(mode: str, told: str) -> None:
    """Gracefully or by kill -9."""
    one = PostgresRestart(("postgres",), PostgresRestartParameters(mode=mode))
    bite, healed = suffered(context_of(shop_of()), one)
    assert (bite.bit, healed.ok) == (True, True)
    assert told in bite.text


def test_a_fleet_without_postgresql_is_an_obstacle() -> None:
    """It is said before the run."""
    shop = shop_of()
    del shop.states["postgres"]
    assert PostgresRestart(("postgres",)).obstacle(context_of(shop)) == "there is no node postgres"
