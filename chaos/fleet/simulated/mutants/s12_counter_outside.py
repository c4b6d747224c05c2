"""S12: the receipt counter moves in a transaction of its own."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.till import TillNode
from syncref.core.journal_messages import Commit, CommitFailed, JournalEvent
from syncref.core.step import replace

_commit = TillNode.commit


def commit(self: TillNode, effect: Commit) -> JournalEvent:
    """Use a number up before the sale is stored."""
    answer = _commit(self, effect)
    if isinstance(answer, CommitFailed) and answer.definite:
        self.ledger = replace(self.ledger, counter=effect.counter)
    return answer


MUTANT = Mutant(
    id="S12",
    title="counter outside the transaction",
    fault="failed commit",
    expected="receipts",
    profile=Profile(misfortunes={"disk_full_till": 3.0}, sales=12),
    swaps=[(TillNode, "commit", commit)],
)
