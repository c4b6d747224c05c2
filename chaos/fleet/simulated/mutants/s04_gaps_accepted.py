"""S4: the server takes a batch that begins after what it has."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import ingest
from syncref.core.ingest import JournalRow, Refusal
from syncref.domain.identity import Mark
from syncref.wire.sync import Batch

_shape = ingest._refuse_shape


def refuse_shape(row: JournalRow, batch: Batch) -> Refusal | None:
    """Refuse anything but a gap."""
    refusal = _shape(row, batch)
    return None if refusal is not None and refusal.code == "gap" else refusal


_chain = ingest._chain


def chain(row: JournalRow, batch: Batch, stored: Mapping[int, bytes]) -> tuple[int, list[bytes], Mark] | Refusal:
    """Chain across a gap from whatever the batch says came before."""
    if batch.first_seq > row.durable.seq + 1:
        jumped = Mark(seq=batch.first_seq - 1, hash=batch.prev_hash)
        return _chain(standing_at(row, jumped), batch, stored)
    return _chain(row, batch, stored)


def standing_at(row: JournalRow, durable: Mark) -> JournalRow:
    """Return the row as if it stood at another mark."""
    return JournalRow(key=row.key, durable=durable, session=row.session, closed_at=row.closed_at)


MUTANT = Mutant(
    id="S4",
    title="gaps accepted",
    fault="two uploaders, reorder",
    expected="chain",
    profile=Profile(misfortunes={"second_uploader": 5.0, "window": 3.0, "noise": 1.0}, sales=12),
    swaps=[(ingest, "_refuse_shape", refuse_shape), (ingest, "_chain", chain)],
)
