"""S19: the feed's position ignores transactions that are still open."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.server_store import ServerStore


def horizon(self: ServerStore) -> int:
    """Go up to the newest id."""
    return self.next_xid


MUTANT = Mutant(
    id="S19",
    title="cursor by insert order",
    fault="slow clerk commit",
    expected="masters",
    profile=Profile(misfortunes={"cut": 0.5}, edits=12, sales=4, edit_kinds=("held", "price", "delivery")),
    swaps=[(ServerStore, "horizon", horizon)],
)
