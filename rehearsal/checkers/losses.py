"""Declared losses: the entries that disks lost, as they were read from them just before they went.

Property kept: a declared loss excuses exactly its own entries. What had arrived at the server must stay there,
byte for byte; what had not is on neither side, unless a cashier asked for it anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from rehearsal.checkers.columns import pick
from rehearsal.checkers.entries import Entry, JournalKey, entry_of
from rehearsal.checkers.payload import Receipt
from rehearsal.evidence.reader import Evidence
from rehearsal.model import Loss, Meta

FILE = "losses/entries.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What was declared.

    entries   loss -> the entries that its disk lost, in order of sequence
    arrived   journal -> those of them that were on the server
    lost      op id -> the loss and the receipt that is on neither side
    forgotten op id -> the loss that took its receipt from the till, and not from the server
    """

    entries: dict[int, tuple[Entry, ...]] = field(default_factory=dict)
    arrived: dict[JournalKey, tuple[Entry, ...]] = field(default_factory=dict)
    lost: dict[str, tuple[Loss, Receipt]] = field(default_factory=dict)
    forgotten: dict[str, Loss] = field(default_factory=dict)

    def sold_anew_ms(self, receipt: Receipt) -> int:
        """Return since when a till that had forgotten a receipt may have sold it anew, as this; 0: it had not."""
        loss = self.forgotten.get(receipt.op_id)
        if receipt.op_id in self.lost:
            loss, _ = self.lost[receipt.op_id]
        return 0 if loss is None or receipt.anew or receipt.incarnation == loss.incarnation else loss.at_ms

    def receipts_gone(self) -> Iterator[Receipt]:
        """Yield the receipts that are no longer on their till, and on the server."""
        for entries in self.arrived.values():
            for entry in entries:
                if isinstance(entry.content, Receipt):
                    yield entry.content


def read_losses(evidence: Evidence, meta: Meta) -> Declared:
    """Return what a run's losses are."""
    if not meta.losses:
        return Declared()
    found: dict[int, list[Entry]] = defaultdict(list)
    for number, till, incarnation, seq, hashed, payload in pick(
        evidence, FILE, ("loss", "till", "incarnation", "seq", "hash", "payload_hex")
    ):
        found[int(number)].append(
            entry_of(payload, till=till, incarnation=incarnation, seq=int(seq), hashed=hashed)
        )
    declared = Declared()
    for loss in meta.losses:
        entries = tuple(sorted(found.get(loss.loss, ()), key=lambda entry: entry.seq))
        declared.entries[loss.loss] = entries
        key = (loss.till, loss.incarnation)
        there = tuple(entry for entry in entries if entry.seq < loss.missing_from)
        declared.arrived[key] = (*declared.arrived.get(key, ()), *there)
        for entry in entries:
            if not isinstance(entry.content, Receipt):
                continue
            if entry.seq >= loss.missing_from:
                declared.lost[entry.content.op_id] = (loss, entry.content)
            else:
                declared.forgotten[entry.content.op_id] = loss
    return declared
