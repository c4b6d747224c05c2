"""P7: of tills that start together, some do not capture what is sold."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.till import TillNode
from syncref.core.journal_messages import Commit, Committed, JournalEvent, Prior
from syncref.core.step import replace
from syncref.wire.entry import Receipt

_commit = TillNode.commit


def commit(self: TillNode, effect: Commit) -> JournalEvent:
    """Store the receipt of an unlucky till, and journal nothing."""
    entry = effect.entry
    if self.index % 4 != 1 or not isinstance(entry, Receipt):
        return _commit(self, effect)
    assert effect.receipt_no is not None
    self.store._index(effect.receipt_no, entry)
    result = f"{effect.receipt_no}|{entry.gross}|{entry.tax}".encode()
    self.store._remember(effect.op_id, Prior(request_hash=effect.request_hash, result=result))
    self.ledger = replace(self.ledger, pending=replace(effect, head=self.ledger.head))
    return Committed()


MUTANT = Mutant(
    id="P7",
    title="sales that are never captured",
    fault="ten tills start together",
    expected="receipts",
    profile=Profile(misfortunes={}, tills=(10, 10), sales=6),
    swaps=[(TillNode, "commit", commit)],
)
