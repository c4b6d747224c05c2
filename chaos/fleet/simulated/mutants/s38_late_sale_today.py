"""S38: a sale is posted on the date at which it arrives."""

from __future__ import annotations

import msgspec

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.server_store import Journal, ServerStore
from syncref.core.posting import ReceiptRow
from syncref.domain.identity import Key

_post = ServerStore._post


def post(self: ServerStore, key: Key, journal: Journal, row: ReceiptRow) -> None:
    """Post on the latest date that any till has reported."""
    dates = [r.receipt.business_date for held in self.journals.values() for r in held.receipts]
    today = max(dates, default=row.receipt.business_date)
    if today > row.receipt.business_date:
        row = row._replace(receipt=msgspec.structs.replace(row.receipt, business_date=today))
    _post(self, key, journal, row)


MUTANT = Mutant(
    id="S38",
    title="late sale on today's date",
    fault="rollover while cut",
    expected="settlement",
    profile=Profile(misfortunes={"close_midway": 3.0, "black": 3.0, "cut": 2.0}, tills=(2, 3), sales=14),
    swaps=[(ServerStore, "_post", post)],
)
