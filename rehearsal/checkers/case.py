"""One run's evidence, read once and shared by all checkers.

Property kept: nothing is read from anywhere but the evidence folder.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from rehearsal.checkers.columns import pick
from rehearsal.checkers.history import History, read_history
from rehearsal.checkers.payload import Content, Line, NotAnEntry, Payment, Receipt, decode
from rehearsal.evidence.reader import Evidence, EvidenceMissing
from rehearsal.model import Meta

JournalKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A journal entry as one witness keeps it. `content` None: it can't be decoded, `error` says why."""

    seq: int
    hash: str
    payload: bytes
    content: Content | None
    error: str = ""


Journals = dict[JournalKey, tuple[Entry, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A database's typed receipts, and rows that belong to no receipt (file, till, receipt number)."""

    receipts: tuple[Receipt, ...]
    orphans: tuple[tuple[str, str, str], ...]


LINE_COLUMNS = (
    "till", "receipt_no", "sku", "line_no", "qty", "unit_price", "price_version", "tax_rate_bp", "discount", "tax",
    "amount",
)  # fmt: skip
RECEIPT_COLUMNS = (
    "till", "incarnation", "receipt_no", "op_id", "kind", "business_date", "cashier", "ref", "status", "at_ms",
    "gross", "tax",
)  # fmt: skip


def _lines(evidence: Evidence, name: str) -> dict[tuple[str, str], list[Line]]:
    found: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for till, receipt_no, sku, *numbers in pick(evidence, name, LINE_COLUMNS):
        line_no, *values = map(int, numbers)
        found[till, receipt_no].append(Line(line_no, sku, *values))
    return found


def _payments(evidence: Evidence, name: str) -> dict[tuple[str, str], list[Payment]]:
    found: dict[tuple[str, str], list[Payment]] = defaultdict(list)
    for till, receipt_no, n, tender, amount in pick(
        evidence, name, ("till", "receipt_no", "n", "tender", "amount")
    ):
        found[till, receipt_no].append(Payment(int(n), tender, int(amount)))
    return found


def read_witness(evidence: Evidence, folder: str) -> Witness:
    """Return the typed receipts in `tills/T01` or `server`."""
    lines = _lines(evidence, f"{folder}/lines.csv")
    payments = _payments(evidence, f"{folder}/payments.csv")
    receipts = []
    known = set()
    for row in pick(evidence, f"{folder}/receipts.csv", RECEIPT_COLUMNS):
        till, incarnation, receipt_no, op_id, kind, date, cashier, ref, status, *numbers = row
        at_ms, gross, tax = map(int, numbers)
        key = (till, receipt_no)
        known.add(key)
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
                lines=tuple(sorted(lines.get(key, ()))),
                payments=tuple(sorted(payments.get(key, ()))),
                status=status or "posted",
            )
        )
    orphans = [("lines", *key) for key in lines.keys() - known]
    orphans += [("payments", *key) for key in payments.keys() - known]
    return Witness(receipts=tuple(receipts), orphans=tuple(sorted(orphans)))


def read_journals(evidence: Evidence, folder: str) -> Journals:
    """Return the journals in `tills/T01` or `server`, each in order of sequence, as the files hold them."""
    found: dict[JournalKey, list[Entry]] = defaultdict(list)
    columns = ("till", "incarnation", "seq", "hash", "payload_hex")
    for till, incarnation, number, hashed, payload_hex in pick(evidence, f"{folder}/journal.csv", columns):
        seq, content, error, payload = int(number), None, "", b""
        try:
            payload = bytes.fromhex(payload_hex)
            content = decode(payload, till=till, incarnation=incarnation, seq=seq)
        except (NotAnEntry, ValueError) as problem:
            error = str(problem)
        entry = Entry(seq=seq, hash=hashed, payload=payload, content=content, error=error)
        found[till, incarnation].append(entry)
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
        """Cashiers and clerks."""
        with self.evidence.text("history.jsonl") as file:
            return read_history(file)

    @cached_property
    def tills(self) -> dict[str, Witness]:
        """Each till's typed receipts."""
        return {till: read_witness(self.evidence, f"tills/{till}") for till in self.till_names}

    @cached_property
    def server(self) -> Witness:
        """The server's typed receipts."""
        return read_witness(self.evidence, "server")

    @cached_property
    def till_journals(self) -> Journals:
        """The journals that tills hold; a till's file may only hold its own."""
        found: Journals = {}
        for till in self.till_names:
            found |= read_journals(self.evidence, f"tills/{till}")
        return found

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
        return {key: (*self._pruned(key), *entries) for key, entries in self.till_journals.items()}

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
        """All tills' typed receipts, with those of a pruned start as the server has them."""
        own = [receipt for witness in self.tills.values() for receipt in witness.receipts]
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
    def set_aside(self) -> dict[tuple[str, str, int], dict[str, str]]:
        """Entries that the server keeps but did not post."""
        rows = self.evidence.rows_if_any("server/asides.csv")
        return {(row["till"], row["incarnation"], int(row["seq"])): row for row in rows}
