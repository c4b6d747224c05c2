"""One run's evidence, read once and shared by all checkers.

Property kept: nothing is read from anywhere but the evidence folder.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from rehearsal.checkers.columns import pick
from rehearsal.checkers.entries import Entry, JournalKey, Journals, entry_of, joined
from rehearsal.checkers.history import History, read_history
from rehearsal.checkers.losses import Declared, read_losses
from rehearsal.checkers.payload import Line, Payment, Receipt
from rehearsal.evidence.reader import Evidence, EvidenceMissing
from rehearsal.model import Meta


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A database's typed receipts, and rows that belong to no receipt (file, till, receipt number)."""

    receipts: tuple[Receipt, ...]
    orphans: tuple[tuple[str, str, str], ...]


HISTORY = "history.jsonl"
LINE_COLUMNS = (
    "till", "receipt_no", "sku", "line_no", "qty", "unit_price", "price_version", "tax_rate_bp", "discount", "tax",
    "amount",
)  # fmt: skip
RECEIPT_COLUMNS = (
    "till", "incarnation", "receipt_no", "op_id", "kind", "business_date", "cashier", "ref", "status", "at_ms",
    "gross", "tax",
)  # fmt: skip


Place = tuple[str, str, str, str]  # till, receipt number, incarnation, sequence (where the file tells them)
_ABSENT = {"incarnation": "", "seq": ""}


def _lines(evidence: Evidence, name: str) -> dict[Place, list[Line]]:
    found: dict[Place, list[Line]] = defaultdict(list)
    for row in pick(evidence, name, (*LINE_COLUMNS, "incarnation", "seq"), _ABSENT):
        till, receipt_no, sku, *numbers, incarnation, seq = row
        line_no, *values = map(int, numbers)
        found[till, receipt_no, incarnation, seq].append(Line(line_no, sku, *values))
    return found


def _payments(evidence: Evidence, name: str) -> dict[Place, list[Payment]]:
    found: dict[Place, list[Payment]] = defaultdict(list)
    columns = ("till", "receipt_no", "n", "tender", "amount", "incarnation", "seq")
    for till, receipt_no, n, tender, amount, incarnation, seq in pick(evidence, name, columns, _ABSENT):
        found[till, receipt_no, incarnation, seq].append(Payment(int(n), tender, int(amount)))
    return found


def read_witness(evidence: Evidence, folder: str) -> Witness:
    """Return the typed receipts in `tills/T01` or `server`.

    Lines and payments belong to a receipt by its place in the journal: a till whose disk was rolled back may
    print a number twice. Where a file does not tell the place, the number counts.
    """
    lines = _lines(evidence, f"{folder}/lines.csv")
    payments = _payments(evidence, f"{folder}/payments.csv")
    receipts = []
    known = set()
    for row in pick(evidence, f"{folder}/receipts.csv", (*RECEIPT_COLUMNS, "seq"), _ABSENT):
        till, incarnation, receipt_no, op_id, kind, date, cashier, ref, status, *numbers, seq = row
        at_ms, gross, tax = map(int, numbers)
        exact = (till, receipt_no, incarnation, seq)
        by_number = (till, receipt_no, "", "")
        known |= {exact, by_number}
        receipts.append(
            Receipt(
                till=till,
                incarnation=incarnation,
                receipt_no=receipt_no,
                op_id=op_id,
                kind=kind,
                business_date=date,
                at_ms=at_ms,
                cashier=cashier,
                gross=gross,
                tax=tax,
                ref=ref,
                lines=tuple(sorted(lines.get(exact) or lines.get(by_number, []))),
                payments=tuple(sorted(payments.get(exact) or payments.get(by_number, []))),
                status=status or "posted",
            )
        )
    orphans = [("lines", *key[:2]) for key in lines.keys() - known]
    orphans += [("payments", *key[:2]) for key in payments.keys() - known]
    return Witness(receipts=tuple(receipts), orphans=tuple(sorted(orphans)))


def read_journals(evidence: Evidence, folder: str) -> Journals:
    """Return the journals in `tills/T01` or `server`, each in order of sequence, as the files hold them."""
    found: dict[JournalKey, list[Entry]] = defaultdict(list)
    columns = ("till", "incarnation", "seq", "hash", "payload_hex")
    for till, incarnation, seq, hashed, payload in pick(evidence, f"{folder}/journal.csv", columns):
        found[till, incarnation].append(
            entry_of(payload, till=till, incarnation=incarnation, seq=int(seq), hashed=hashed)
        )
    return {key: tuple(sorted(entries, key=lambda entry: entry.seq)) for key, entries in found.items()}


class Case:
    """A run before the judge."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    @cached_property
    def meta(self) -> Meta:
        """The run's facts."""
        return self.evidence.meta()

    @cached_property
    def till_names(self) -> tuple[str, ...]:
        """The tills of the fleet; each must have given evidence."""
        return tuple(sorted({*self.meta.fleet.tills, *self.evidence.tills()}))

    @cached_property
    def history(self) -> History:
        """Cashiers and clerks. Of one that was changed after the run nobody knows how many lines it had."""
        with self.evidence.text(HISTORY) as file:
            history = read_history(file)
        kept = self.meta.digests.get(HISTORY)
        return history if kept in (None, self.evidence.digest(HISTORY)) else replace(history, missing=None)

    @cached_property
    def tills(self) -> dict[str, Witness]:
        """Each till's typed receipts."""
        return {till: read_witness(self.evidence, f"tills/{till}") for till in self.till_names}

    @cached_property
    def server(self) -> Witness:
        """The server's typed receipts."""
        return read_witness(self.evidence, "server")

    @cached_property
    def declared(self) -> Declared:
        """What disks lost."""
        return read_losses(self.evidence, self.meta)

    @cached_property
    def site_journals(self) -> dict[str, Journals]:
        """The journals that each till's database holds, and each copy's of a till."""
        return {till: read_journals(self.evidence, f"tills/{till}") for till in self.till_names}

    @cached_property
    def till_journals(self) -> Journals:
        """The journals that tills hold, with what a disk lost after it had arrived at the server."""
        found: Journals = {}
        for journals in (*self.site_journals.values(), self.declared.arrived):
            for key, entries in journals.items():
                found[key] = joined(found.get(key, ()), entries)
        return {key: entries for key, entries in found.items() if entries}

    @cached_property
    def server_journals(self) -> Journals:
        """The journals that the server holds."""
        return read_journals(self.evidence, "server")

    def text_digest(self, name: str) -> bytes:
        """Return the digest of a file's text, as it is unpacked: equal tables have equal text."""
        hashed = hashlib.sha256()
        with self.evidence.text(name) as file:
            while chunk := file.read(1 << 20):
                hashed.update(chunk.encode())
        return hashed.digest()

    @cached_property
    def cluster(self) -> str:
        """The cluster's name, which the genesis hashes cover."""
        for row in self.evidence.rows("server/term.csv"):
            return row["cluster"]
        raise EvidenceMissing("server/term.csv has no row")

    @cached_property
    def anchors(self) -> dict[JournalKey, tuple[int, str]]:
        """The end (sequence, hash) of each journal's pruned start, where a till says that it pruned."""
        found = {}
        for till in self.till_names:
            for row in self.evidence.rows_if_any(f"tills/{till}/anchor.csv"):
                found[row["till"], row["incarnation"]] = (int(row["seq"]), row["hash"])
        return found

    @cached_property
    def journals(self) -> Journals:
        """The tills' journals from their first entry; a pruned start is the server's, under its anchor."""
        keys = dict.fromkeys((*self.till_journals, *self.anchors))
        found = {key: (*self._pruned(key), *self.till_journals.get(key, ())) for key in keys}
        return {key: entries for key, entries in found.items() if entries}

    def _pruned(self, key: JournalKey) -> tuple[Entry, ...]:
        end, _ = self.anchors.get(key, (0, ""))
        return tuple(entry for entry in self.server_journals.get(key, ()) if entry.seq <= end) if end else ()

    def journaled(self) -> Iterator[Receipt]:
        """Yield the receipts in the journals, per journal in order of sequence."""
        for entries in self.journals.values():
            for entry in entries:
                if isinstance(entry.content, Receipt):
                    yield entry.content

    @cached_property
    def on_tills(self) -> tuple[Receipt, ...]:
        """All tills' typed receipts, with those of a pruned start, and of a lost disk, that the server has.

        A receipt that a till and its copy both have counts once.
        """
        own = [receipt for witness in self.tills.values() for receipt in witness.receipts]
        if self.meta.clones or self.meta.losses:
            own = list(
                {_identity(receipt): receipt for receipt in (*own, *self.declared.receipts_gone())}.values()
            )
        pruned = {
            (*key, entry.content.op_id)
            for key in self.anchors
            for entry in self._pruned(key)
            if isinstance(entry.content, Receipt)
        } - {(receipt.till, receipt.incarnation, receipt.op_id) for receipt in own}
        return (
            *own,
            *(
                receipt
                for receipt in self.server.receipts
                if (receipt.till, receipt.incarnation, receipt.op_id) in pruned
            ),
        )

    @cached_property
    def duplicates(self) -> frozenset[tuple[str, str, str]]:
        """Till, incarnation and op id of the receipts that the server stored and did not post."""
        return frozenset(
            (receipt.till, receipt.incarnation, receipt.op_id)
            for receipt in self.server.receipts
            if not receipt.counts
        )

    def posted(self, receipts: Iterable[Receipt]) -> Iterator[Receipt]:
        """Yield those of some receipts, as tills have them, that are no duplicates for the server."""
        for receipt in receipts:
            if (receipt.till, receipt.incarnation, receipt.op_id) not in self.duplicates:
                yield receipt

    @cached_property
    def set_aside(self) -> dict[tuple[str, str, int], dict[str, str]]:
        """Entries that the server keeps but did not post, nor later by a clerk's resolution."""
        resolved = self.evidence.rows_if_any("server/resolutions.csv")
        posted = {
            (row["till"], row["incarnation"], int(row["seq"])) for row in resolved if row["action"] == "posted"
        }
        rows = self.evidence.rows_if_any("server/asides.csv")
        found = {(row["till"], row["incarnation"], int(row["seq"])): row for row in rows}
        return {place: row for place, row in found.items() if place not in posted}


def _identity(receipt: Receipt) -> tuple[str, str, str, str]:
    return receipt.till, receipt.incarnation, receipt.op_id, receipt.receipt_no
