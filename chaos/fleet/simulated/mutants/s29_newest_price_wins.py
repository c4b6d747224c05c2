"""S29: the price row of the highest version counts, valid or not."""

from __future__ import annotations

from collections.abc import Iterable

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import selling
from syncref.core.selling import PriceRow


def price_at(prices: Iterable[PriceRow], instant_ms: int) -> PriceRow | None:
    """Take the newest."""
    return max(prices, key=lambda row: (row.version, row.valid_from_ms), default=None)


MUTANT = Mutant(
    id="S29",
    title="newest price wins",
    fault="future price",
    expected="prices",
    profile=Profile(misfortunes={"cut": 0.5}, edits=10, sales=14, edit_kinds=("future",)),
    swaps=[(selling, "price_at", price_at)],
)
