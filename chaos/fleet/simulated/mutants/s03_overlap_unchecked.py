"""S3: an overlap is dropped by its numbers, and nobody compares hashes."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.uploader import Uploader
from syncref.core import ingest
from syncref.core.ingest import JournalRow
from syncref.domain.identity import Mark, chain_hash
from syncref.wire.sync import Batch, HelloAnswer

_heard = Uploader._heard


def chain(row: JournalRow, batch: Batch, stored: Mapping[int, bytes]) -> tuple[int, list[bytes], Mark]:
    """Drop by sequence alone."""
    value, hashes, seq = batch.prev_hash, [], batch.first_seq - 1
    for payload in batch.payloads:
        seq += 1
        value = chain_hash(value, payload)
        if seq > row.durable.seq:
            hashes.append(value)
    return len(batch.payloads) - len(hashes), hashes, Mark(seq=seq, hash=value)


def heard(self: Uploader, request: int, answer: object) -> None:
    """Take the server's hash for whatever the till has at that place."""
    if isinstance(answer, HelloAnswer):
        seq = min(answer.durable_seq, self.state.head.seq)
        own = self.till.store.hash_at(self.state.key, seq)
        answer = msgspec.structs.replace(answer, durable_seq=seq, durable_hash=own or answer.durable_hash)
    _heard(self, request, answer)


MUTANT = Mutant(
    id="S3",
    title="overlap dropped, hash unchecked",
    fault="cloned till",
    expected="receipts",
    profile=Profile(misfortunes={"clone": 1.0}, tills=(1, 2), sales=14),
    swaps=[(ingest, "_chain", chain), (Uploader, "_heard", heard)],
)
