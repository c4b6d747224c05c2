"""Taking in what a till exported before it was cleaned: through the same ingest as an upload of its own.

Keeps: what the server has is compared by hash and never overwritten; an export that does not follow it is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from syncref.domain.identity import Mark, Term
from syncref.errors import ConfigInvalid
from syncref.server.clock import now_ms
from syncref.server.ingest import Ingest
from syncref.store.server_open import transaction
from syncref.store.server_term import writable_term
from syncref.wire.export import Export, ExportedJournal
from syncref.wire.sync import BATCH_BYTES_MAX, Batch, Hello, TermWire

_ENTRIES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """How many entries came, and how many of them the server had already."""

    entries: int
    known: int


def import_export(engine: Engine, export: Export) -> Imported:
    """Import an export. Raises ConfigInvalid when it is another cluster's or does not follow what is here."""
    with transaction(engine) as connection:
        term = writable_term(connection)
    if export.cluster != term.cluster:
        raise ConfigInvalid(f"the export is of cluster {export.cluster}, this server is of {term.cluster}")
    ingest = Ingest(engine, now_ms)
    entries = known = 0
    for journal in export.journals:
        known += _journal(ingest, export.till, journal, term)
        entries += len(journal.payloads)
    return Imported(entries=entries, known=known)


def _journal(ingest: Ingest, till: str, journal: ExportedJournal, term: Term) -> int:
    """Import one journal's entries; return how many were there."""
    end = Mark(seq=journal.last_seq, hash=journal.last_hash)
    hello = Hello(
        till=till, incarnation=journal.incarnation, term=None, head_seq=end.seq, head_hash=end.hash, acked=0,
        safe=0, cursor_pos=0,
    )  # fmt: skip
    answer = ingest.hello(hello)
    if answer.durable_seq < journal.first_seq - 1:
        raise ConfigInvalid(
            f"the server has {till}'s journal {journal.incarnation.hex()} up to {answer.durable_seq}, the export "
            f"begins at {journal.first_seq}: what lies between is missing"
        )
    previous, first = journal.prev_hash, journal.first_seq
    wire = TermWire(cluster=term.cluster, n=term.n, id=term.id)
    for payloads in _batches(journal.payloads):
        ack = ingest.batch(
            Batch(
                session=answer.session, term=wire, till=till, incarnation=journal.incarnation, first_seq=first,
                prev_hash=previous, payloads=payloads,
            )
        )  # fmt: skip
        previous, first = ack.hash, first + len(payloads)
    return max(0, min(answer.durable_seq, end.seq) - journal.first_seq + 1)


def _batches(payloads: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
    """Return payloads in stretches that keep to the bounds of a batch."""
    found: list[list[bytes]] = [[]]
    size = 0
    for payload in payloads:
        if found[-1] and (len(found[-1]) >= _ENTRIES or size + len(payload) > BATCH_BYTES_MAX):
            found.append([])
            size = 0
        found[-1].append(payload)
        size += len(payload)
    return [tuple(stretch) for stretch in found]
