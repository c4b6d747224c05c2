"""A till's database as far as the cores can tell: transactions folded from a log on a fake disk."""

from __future__ import annotations

from collections.abc import Iterable

from chaos.fleet.simulated.disk import Disk
from chaos.fleet.simulated.master_rows import MasterRows
from syncref.core.downlink_messages import (
    Apply,
    ApplyUrgent,
    DownlinkState,
    Holder,
    Loading,
    Run,
    StoreChunk,
)
from syncref.core.journal_messages import Commit, DayTotals, JournalState, Mode, Prior
from syncref.core.selling import Offer, Original, PriceRow
from syncref.core.step import replace
from syncref.core.uplink_messages import PersistProgress, UplinkState
from syncref.domain.identity import Cursor, Key, Mark, Term, chain_hash, genesis_hash
from syncref.wire.entry import Continued, Entry, Payment, RateTotal, Receipt, encode_entry
from syncref.wire.sync import FeedRow

Stored = tuple[bytes, bytes, Entry]  # hash, payload, entry


class TillStore:
    """The fold of a till's log. Every public `do_` is one transaction."""

    def __init__(self, disk: Disk, *, cluster: str, key: Key) -> None:
        self.disk = disk
        self.cluster = cluster
        genesis = Mark(seq=0, hash=genesis_hash(cluster=cluster, key=key))
        self.journal = JournalState(key=key, head=genesis)
        self.anchor = genesis
        self.entries: list[Stored] = []  # of the current journal, after the anchor
        self.archive: dict[bytes, tuple[Mark, list[Stored]]] = {}
        self.receipts: dict[str, Receipt] = {}
        self.returns: dict[str, list[Receipt]] = {}
        self.dates: dict[str, list[tuple[str, Receipt]]] = {}
        self.ops: dict[bytes, Prior] = {}
        self.pruned_ops: set[bytes] = set()
        self.term: Term | None = None
        self.acked = 0
        self.safe = 0
        self.masters = MasterRows()
        self.cursor: Cursor | None = None
        self.urgent_pos = 0
        self.generation = 0
        self.stock_seq = 0
        self.loaded = False
        self.loading: Loading | None = None
        self.run: Run | None = None
        self.staged_pages = 0
        self.stage: dict[tuple[str, tuple[str | int | None, ...]], FeedRow] = {}
        self.torn = disk.recover()
        for record in disk.records:
            self._fold(record)

    # --- what the cores are started from

    def uplink_states(self) -> list[UplinkState]:
        """Return the uplinks' states of a till that has just started: of its journal, and those it continues."""
        current = UplinkState(
            key=self.journal.key,
            head=self.journal.head,
            anchor=self.anchor,
            acked=self.acked,
            safe=self.safe,
            term=self.term,
        )
        keys = [Key(till=self.journal.key.till, incarnation=incarnation) for incarnation in self.archive]
        elders = [self.elder_state(key) for key in keys]
        return [current, *(elder for elder in elders if elder is not None)]

    def elder_state(self, key: Key) -> UplinkState | None:
        """Return the uplink's state of a journal that is continued by another, None when it has no entry."""
        base, entries = self.archive[key.incarnation]
        if not entries:
            return None
        head = Mark(seq=base.seq + len(entries), hash=entries[-1][0])
        return UplinkState(key=key, head=head, anchor=base, term=self.term, frozen=True)

    def downlink_state(self) -> DownlinkState:
        """Return the downlink's state of a till that has just started."""
        run = self.run
        if run is not None and (run.replace or self.cursor is None or run.from_pos != self.cursor.pos):
            run = None
        term = self.term
        if self.cursor is not None and (term is None or self.cursor.term.n > term.n):
            term = self.cursor.term
        return DownlinkState(
            cursor=self.cursor,
            loaded=self.loaded,
            term=term,
            urgent_pos=self.urgent_pos,
            run=run,
            loading=self.loading,
        )

    # --- lookups

    def offer(self, sku: str) -> Offer:
        """Return what the masters say of a product."""
        product = self.masters.get("product", (sku,))
        rate = None if product is None else self.masters.get("tax_rate", (product[0][2],))
        prices = tuple(
            PriceRow(valid_from_ms=valid_from, amount=amount, version=version)
            for valid_from, (amount, version) in self.masters.prices.get(sku, {}).items()
        )
        return Offer(
            sku=sku,
            active=product is not None and product[0][4] == 1,
            tax_rate_bp=None if rate is None else int(rate[0][1] or 0),
            prices=prices,
        )

    def original(self, receipt_no: str) -> Original | None:
        """Return a receipt of this till with what was taken back of it."""
        receipt = self.receipts.get(receipt_no)
        if receipt is None:
            return None
        return Original(receipt=receipt, returns=tuple(self.returns.get(receipt_no, ())))

    def prior(self, op_id: bytes) -> Prior | None:
        """Return the answer given under an op id."""
        return self.ops.get(op_id)

    def totals(self, date: str) -> DayTotals:
        """Return the sums of a business date for its Z."""
        counts = {"sale": 0, "refund": 0, "void": 0}
        tenders: dict[str, int] = {}
        rates: dict[int, list[int]] = {}
        gross = tax = 0
        rows = self.dates.get(date, [])
        for _, receipt in rows:
            counts[receipt.kind] += 1
            gross += receipt.gross
            tax += receipt.tax
            for payment in receipt.payments:
                tenders[payment.tender] = tenders.get(payment.tender, 0) + payment.amount
            for line in receipt.lines:
                sums = rates.setdefault(line.tax_rate_bp, [0, 0])
                sums[0] += line.amount
                sums[1] += line.tax
        return DayTotals(
            sales=counts["sale"],
            refunds=counts["refund"],
            voids=counts["void"],
            gross=gross,
            tax=tax,
            by_tender=tuple(Payment(tender=t, amount=a) for t, a in sorted(tenders.items())),
            by_rate=tuple(RateTotal(rate_bp=r, gross=s[0], tax=s[1]) for r, s in sorted(rates.items())),
            first_receipt=rows[0][0] if rows else None,
            last_receipt=rows[-1][0] if rows else None,
        )

    def _journal_of(self, key: Key) -> tuple[Mark, list[Stored]]:
        if key == self.journal.key:
            return self.anchor, self.entries
        return self.archive[key.incarnation]

    def hash_at(self, key: Key, seq: int) -> bytes | None:
        """Return a journal's hash at a sequence, None when it is pruned or not there."""
        anchor, entries = self._journal_of(key)
        index = seq - anchor.seq
        if index == 0:
            return anchor.hash
        return entries[index - 1][0] if 0 < index <= len(entries) else None

    def load(self, key: Key, after: int, limit: int) -> tuple[bytes, tuple[bytes, ...], Mark]:
        """Return (previous hash, payloads, last mark) of a journal's entries after a sequence."""
        anchor, entries = self._journal_of(key)
        previous = self.hash_at(key, after)
        assert previous is not None, "what is sent is not pruned"
        found = entries[after - anchor.seq : after - anchor.seq + limit]
        last = Mark(seq=after + len(found), hash=found[-1][0])
        return previous, tuple(payload for _, payload, _ in found), last

    def persist_progress(self, key: Key, effect: PersistProgress) -> None:
        """Store how far a journal is sent; of one that is continued only the term counts."""
        acked, safe = (effect.acked, effect.safe) if key == self.journal.key else (self.acked, self.safe)
        self.write("progress", effect.term, acked, safe, sync=effect.wait)

    # --- transactions

    def write(self, *record: object, sync: bool = True) -> None:
        """Carry out one transaction, durable at once unless it may be lazy."""
        self.disk.append(record)
        if sync:
            self.disk.sync()
        self._fold(record)

    def _fold(self, record: tuple[object, ...]) -> None:
        getattr(self, f"_do_{record[0]}")(*record[1:])

    def _do_commit(self, commit: Commit) -> None:
        self.journal = replace(
            self.journal,
            head=commit.head,
            counter=commit.counter,
            business_date=commit.business_date,
            closed_date=commit.closed_date,
            mode=commit.mode,
            time_floor_ms=commit.time_floor_ms,
        )
        self.entries.append((commit.head.hash, commit.payload, commit.entry))
        result = b""
        if isinstance(commit.entry, Receipt):
            assert commit.receipt_no is not None
            self._index(commit.receipt_no, commit.entry)
            result = f"{commit.receipt_no}|{commit.entry.gross}|{commit.entry.tax}".encode()
        self._remember(commit.op_id, Prior(request_hash=commit.request_hash, result=result))

    def _remember(self, op_id: bytes, prior: Prior) -> None:
        self.ops[op_id] = prior

    def _index(self, receipt_no: str, receipt: Receipt) -> None:
        self.receipts[receipt_no] = receipt
        self.dates.setdefault(receipt.business_date, []).append((receipt_no, receipt))
        if receipt.ref is not None:
            self.returns.setdefault(receipt.ref, []).append(receipt)

    def _do_mode(self, mode: Mode) -> None:
        self.journal = replace(self.journal, mode=mode)

    def _do_progress(self, term: Term, acked: int, safe: int) -> None:
        self.term, self.acked, self.safe = term, acked, safe

    def _do_rebase(self, common: Mark, new: Key, op_id: bytes, at_ms: int) -> None:
        """Close the journal at `common`, continue it under a new key with its suffix journaled anew."""
        old = self.journal.key
        keep = common.seq - self.anchor.seq
        suffix = self.entries[keep:]
        self.archive[old.incarnation] = (self.anchor, self.entries[:keep])
        mark = Mark(seq=0, hash=genesis_hash(cluster=self.cluster, key=new))
        self.anchor = mark
        first = Continued(op_id=op_id, incarnation=old.incarnation, seq=common.seq, hash=common.hash, at_ms=at_ms)
        self.entries = []
        mark = self._again(mark, [first, *(entry for _, _, entry in suffix)])
        self.journal = replace(self.journal, key=new, head=mark, counter=0)
        self.acked = self.safe = 0

    def _again(self, mark: Mark, entries: list[Entry]) -> Mark:
        """Journal entries anew after a mark; a receipt keeps the number that was printed."""
        numbers = {receipt.op_id: number for number, receipt in self.receipts.items()}
        for entry in entries:
            again = entry
            if isinstance(entry, Receipt) and entry.number is None:
                again = _renumbered(entry, numbers[entry.op_id])
            payload = encode_entry(again)
            mark = Mark(seq=mark.seq + 1, hash=chain_hash(mark.hash, payload))
            self.entries.append((mark.hash, payload, again))
        return mark

    def _do_recall(self, incarnation: bytes, common: Mark) -> None:
        """Let a continued journal end at `common`; what it had after it goes on at the end of this one."""
        base, entries = self.archive[incarnation]
        keep = common.seq - base.seq
        self.archive[incarnation] = (base, entries[:keep])
        head = self._again(self.journal.head, [entry for _, _, entry in entries[keep:]])
        self.journal = replace(self.journal, head=head)

    def _do_prune(self, upto: int) -> None:
        count = upto - self.anchor.seq
        gone = self.entries[:count]
        del self.entries[:count]
        self.anchor = Mark(seq=upto, hash=gone[-1][0])
        for _, _, entry in gone:
            if isinstance(entry, Receipt):
                self.pruned_ops.add(entry.op_id)

    def outrun(self, effect: StoreChunk) -> bool:
        """Return whether another sync's load was faster."""
        return self.cursor is not None or (not effect.first and self.loading != effect.before)

    def _do_chunk(self, effect: StoreChunk) -> None:
        if effect.first:
            self.masters = MasterRows()
        for row in effect.rows:
            self.masters.put(row)
        self.loading = effect.loading
        if effect.cursor is not None:
            self.cursor, self.loading = effect.cursor, None

    def _do_stage(self, run: Run, rows: tuple[FeedRow, ...]) -> None:
        if self.run is None or self.run.id != run.id:
            self.stage, self.staged_pages = {}, 0
        self.run = run
        self.staged_pages += 1
        for row in rows:
            place = (row.table, self.masters.key_of(row))
            staged = self.stage.get(place)
            if staged is None or staged.version <= row.version:
                self.stage[place] = row

    @property
    def holder(self) -> Holder | None:
        """Whose the stage is."""
        return None if self.run is None else Holder(run=self.run.id, pages=self.staged_pages)

    def _do_drop(self) -> None:
        self.run, self.stage, self.staged_pages = None, {}, 0

    def _do_urgent(self, effect: ApplyUrgent) -> None:
        self._new_term(effect.term)
        self.generation += 1
        for row in effect.rows:
            self.masters.put(row)

    def _new_term(self, term: Term) -> None:
        if self.cursor is not None and self.cursor.term != term:
            self.masters.highest.clear()

    def conflicts(self, effect: Apply) -> bool:
        """Return whether another run or urgent page was faster."""
        staged = self.staged_pages if self.run is not None and self.run.id == effect.run.id else 0
        if self.cursor != effect.expected or staged != effect.run.pages:
            return True
        return self.written_since(effect.generation)

    def written_since(self, generation: int) -> bool:
        """Return whether rows were written after a page of that generation was asked for."""
        return self.generation != generation

    def _do_apply(self, effect: Apply) -> None:
        self.generation += 1
        rows: Iterable[FeedRow] = effect.rows
        if effect.run.pages:
            self._do_stage(effect.run, effect.rows)
            rows = self.stage.values()
        self._new_term(effect.run.term)
        for table in effect.run.replace:
            self.masters.clear(table)
        for row in rows:
            self.masters.put(row)
        self._do_drop()
        self._do_cursor(effect)
        self.loaded = self.loaded or not self.mismatched(effect)

    def _do_cursor(self, effect: Apply) -> None:
        self.cursor = effect.cursor
        self.urgent_pos = effect.urgent_pos
        self.stock_seq = effect.stock_seq

    def mismatched(self, effect: Apply) -> tuple[str, ...]:
        """Return the tables whose digest is not the server's."""
        digests = self.masters.digests
        return tuple(table for table, value in effect.digests if digests.get(table, 0) != value)


def _renumbered(receipt: Receipt, number: str) -> Receipt:
    fields = {name: getattr(receipt, name) for name in receipt.__struct_fields__}
    return Receipt(**(fields | {"number": number}))
