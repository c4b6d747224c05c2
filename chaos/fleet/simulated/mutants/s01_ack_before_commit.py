"""S1: the server acks a batch before it is committed."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.network import Lost, Respond
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.reception import Reception
from syncref.core.ingest import Refusal
from syncref.domain.identity import Key
from syncref.wire.sync import Batch

_batch = Reception.batch


def batch(self: Reception, batch: Batch, respond: Respond, lost: Lost) -> None:
    """Ack what was planned, then store it."""
    key = Key(till=batch.till, incarnation=batch.incarnation)
    plan = self.plan(key, self.server.store.journal_row(key), batch)
    if not isinstance(plan, Refusal):
        self.acknowledge(batch, plan, respond)
    _batch(self, batch, respond, lost)


MUTANT = Mutant(
    id="S1",
    title="ack before commit",
    fault="server kill",
    expected="receipts",
    profile=Profile(misfortunes={"kill_server": 3.0}),
    swaps=[(Reception, "batch", batch)],
)
