"""S40: offline, the last of several payments is not stored."""

from __future__ import annotations

import msgspec

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.till import TillNode
from syncref.core.journal_messages import Commit, JournalEvent
from syncref.core.step import replace
from syncref.core.uplink_messages import Phase
from syncref.domain.identity import Mark, chain_hash
from syncref.wire.entry import Receipt, encode_entry

_commit = TillNode.commit


def commit(self: TillNode, effect: Commit) -> JournalEvent:
    """Store one payment less while the server is away."""
    entry = effect.entry
    offline = self.uploaders[0].state.phase in (Phase.BACKOFF, Phase.HELLO, Phase.IDLE)
    if offline and isinstance(entry, Receipt) and len(entry.payments) > 1:
        entry = msgspec.structs.replace(entry, payments=entry.payments[:-1])
        payload = encode_entry(entry)
        head = Mark(seq=effect.head.seq, hash=chain_hash(self.ledger.head.hash, payload))
        effect = replace(effect, entry=entry, payload=payload, head=head)
        self.ledger = replace(self.ledger, pending=effect)
    return _commit(self, effect)


MUTANT = Mutant(
    id="S40",
    title="payment row omitted offline",
    fault="cut",
    expected="money",
    profile=Profile(misfortunes={"cut": 4.0, "black": 2.0}, sales=14),
    swaps=[(TillNode, "commit", commit)],
)
