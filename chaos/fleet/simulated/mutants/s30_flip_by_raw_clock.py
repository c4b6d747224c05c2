"""S30: prices follow the clock, even when it goes back."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import journal
from syncref.core.journal_messages import JournalState


def price_instant(state: JournalState, *, now_ms: int) -> int:
    """Trust the clock."""
    return now_ms


MUTANT = Mutant(
    id="S30",
    title="flip by raw clock",
    fault="clock jump",
    expected="prices",
    profile=Profile(misfortunes={"clock": 4.0}, edits=4, sales=12, edit_kinds=("future",)),
    swaps=[(journal, "price_instant", price_instant)],
)
