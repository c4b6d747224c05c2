"""S2: the server appends whatever comes, its op ids unchecked."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.reception import Reception
from chaos.fleet.simulated.server_store import Posted
from syncref.core import ingest
from syncref.core.ingest import JournalRow
from syncref.domain.identity import Mark, chain_hash
from syncref.wire.sync import Batch


def chain(row: JournalRow, batch: Batch, stored: Mapping[int, bytes]) -> tuple[int, list[bytes], Mark]:
    """Take every payload as new."""
    value, hashes = batch.prev_hash, []
    for payload in batch.payloads:
        value = chain_hash(value, payload)
        hashes.append(value)
    return 0, hashes, Mark(seq=batch.first_seq + len(hashes) - 1, hash=value)


def already_stored(row: JournalRow, batch: Batch) -> int:
    """Nothing is there yet."""
    return 0


def known_ops(self: Reception) -> dict[bytes, Posted]:
    """Know no op id."""
    return {}


MUTANT = Mutant(
    id="S2",
    title="no de-duplication",
    fault="ack cut",
    expected="receipts",
    profile=Profile(misfortunes={"noise": 4.0, "answers_cut": 2.0}, sales=10),
    swaps=[
        (ingest, "_chain", chain),
        (ingest, "already_stored", already_stored),
        (Reception, "known_ops", known_ops),
    ],
)
