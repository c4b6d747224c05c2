"""F4: the server keeps the draft of a basket that it has, whatever was paid for it offline."""

from __future__ import annotations

import msgspec

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.reception import Reception
from syncref.core.ingest import JournalRow, Plan, Refusal
from syncref.core.posting import ReceiptRow
from syncref.core.step import replace
from syncref.domain.identity import Key
from syncref.wire.entry import Payment
from syncref.wire.sync import Batch

_plan = Reception.plan
LATE_MS = 1000


def plan(self: Reception, key: Key, row: JournalRow | None, batch: Batch) -> Plan | Refusal:
    """Post what comes late as the draft said: everything is still due."""
    planned = _plan(self, key, row, batch)
    if isinstance(planned, Refusal):
        return planned
    now = self.server.clock_ms()
    posting = planned.posting
    return replace(planned, posting=replace(posting, receipts=[_draft(r, now) for r in posting.receipts]))


def _draft(row: ReceiptRow, now_ms: int) -> ReceiptRow:
    receipt = row.receipt
    if now_ms - receipt.at_ms < LATE_MS:
        return row
    due = (Payment(tender="due", amount=receipt.gross),)
    return row._replace(receipt=msgspec.structs.replace(receipt, payments=due))


MUTANT = Mutant(
    id="F4",
    title="server's draft overwrites the payment",
    fault="cut between basket and payment",
    expected="money",
    profile=Profile(misfortunes={"cut": 3.0, "black": 2.0}, sales=10),
    swaps=[(Reception, "plan", plan)],
)
