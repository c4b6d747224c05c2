"""S37: Z is summed up before the transaction that closes the day."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.till_store import TillStore
from syncref.core.journal_messages import DayTotals

_totals = TillStore.totals


def totals(self: TillStore, date: str) -> DayTotals:
    """Miss a receipt that was made while the sums were read."""
    rows = self.dates.get(date, [])
    if len(rows) < 2 or rows[-1][1].at_ms - rows[-2][1].at_ms > 1000:
        return _totals(self, date)
    last = rows.pop()
    sums = _totals(self, date)
    rows.append(last)
    return sums


MUTANT = Mutant(
    id="S37",
    title="Z outside the close transaction",
    fault="sale at close",
    expected="settlement",
    profile=Profile(misfortunes={"close_midway": 3.0}, sales=24, tills=(1, 2)),
    swaps=[(TillStore, "totals", totals)],
)
