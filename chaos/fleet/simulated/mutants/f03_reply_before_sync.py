"""F3: the cashier is told before the sale is on the disk."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.till import TillNode
from syncref.core.journal_messages import Commit, JournalEvent

_commit = TillNode.commit


def commit(self: TillNode, effect: Commit) -> JournalEvent:
    """Leave what was written to the page cache."""
    synced = self.disk.synced
    event = _commit(self, effect)
    self.disk.synced = synced
    return event


MUTANT = Mutant(
    id="F3",
    title="told before it is synced to the disk",
    fault="power cut",
    expected="receipts",
    profile=Profile(misfortunes={"power_till": 3.0, "black": 3.0}, sales=12),
    swaps=[(TillNode, "commit", commit)],
)
