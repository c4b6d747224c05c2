"""P5: a receipt with a number that exists takes the place of the one that has it."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.server_store import Journal, ServerStore
from syncref.core.posting import ReceiptRow
from syncref.domain.identity import Key

_post = ServerStore._post


def post(self: ServerStore, key: Key, journal: Journal, row: ReceiptRow) -> None:
    """Insert or replace."""
    there = self.by_number.get(row.receipt_no)
    if there is not None and there.row.receipt.op_id != row.receipt.op_id:
        self.journals[there.key].receipts.remove(there.row)
        self.by_op.pop(there.row.receipt.op_id, None)
        del self.by_number[row.receipt_no]
    _post(self, key, journal, row)


MUTANT = Mutant(
    id="P5",
    title="a duplicate key is overwritten",
    fault="cloned till",
    expected="receipts",
    profile=Profile(misfortunes={"clone": 1.0}, tills=(1, 2), sales=14),
    swaps=[(ServerStore, "_post", post)],
)
