"""A server's database as far as the cores can tell: transactions folded from a replicated log.

A standby folds the same records later; promotion goes on from where it is, a restore from an earlier
length. Positions of the feed are transaction ids, as in PostgreSQL: an id is taken when a transaction
begins to write and becomes visible when it commits.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import msgspec

from chaos.fleet.simulated.disk import Record
from chaos.fleet.simulated.master_rows import KEY_LENGTH, row_digest
from syncref.core.ingest import JournalRow, Plan, new_row
from syncref.core.posting import AsideRow, ReceiptRow
from syncref.core.step import replace
from syncref.domain.identity import Key, Mark, Term
from syncref.domain.masters import DIGEST_MODULUS, Row
from syncref.wire.entry import DayClosed
from syncref.wire.sync import FeedPage, FeedRow, LoadChunk, TermWire


class SqlError(Exception):
    """The database refused a statement."""

    def __init__(self, sqlstate: str, seq: int | None = None) -> None:
        super().__init__(sqlstate)
        self.sqlstate, self.seq = sqlstate, seq


class MasterChange(NamedTuple):
    """A new value of a master row: None deletes it. `add` is added to an integer value (stock) instead."""

    table: str
    key: Row
    values: Row | None
    urgent: bool = False
    add: bool = False


class Posted(NamedTuple):
    """A stored receipt and its place."""

    key: Key
    row: ReceiptRow


@dataclass(slots=True)
class Journal:
    """A journal on the server. entries[i] has sequence i + 1."""

    row: JournalRow
    entries: list[tuple[bytes, bytes]] = field(default_factory=list)
    asides: list[AsideRow] = field(default_factory=list)
    resolved: set[int] = field(default_factory=set)
    zs: list[tuple[int, DayClosed]] = field(default_factory=list)
    receipts: list[ReceiptRow] = field(default_factory=list)
    continues: list[bytes] = field(default_factory=list)
    folded: int = 0


@lru_cache(maxsize=10_000)
def _text(key: Row) -> str:
    return json.dumps(key)


class ServerStore:
    """The fold of a server's log. `records` are its durable transactions, `timeline` as PostgreSQL counts."""

    def __init__(self, *, cluster: str, page_rows: int) -> None:
        self.cluster = cluster
        self.page_rows = page_rows
        self.records: list[Record] = []
        self.timeline = 1
        self.term = Term(cluster=cluster, n=1, id=b"first term......")
        self.term_timeline = 1
        self.journals: dict[Key, Journal] = {}
        self.by_op: dict[bytes, Posted] = {}
        self.by_number: dict[str, Posted] = {}
        self.duplicates: list[Posted] = []
        self.awaited: dict[str, list[tuple[Key, int]]] = {}
        self.flags: set[tuple[Key, int, str]] = set()
        self.tables: dict[str, dict[Row, tuple[Row | None, int]]] = {}
        self.digests: dict[str, int] = dict.fromkeys(KEY_LENGTH, 0)
        self.change_xid: dict[tuple[str, Row], int] = {}
        self.urgent: list[tuple[int, str, Row]] = []
        self.operations: dict[bytes, tuple[bytes, tuple[tuple[str, Row, int], ...]]] = {}
        self.next_xid = 1
        self.last_xid = 0
        self.pages: dict[tuple[object, ...], FeedPage] = {}
        self.travelling: dict[tuple[str, Row], FeedRow] = {}
        self.floor = 0
        self.forgotten = 0  # no forgotten tombstone had a higher version
        self.begun: set[int] = set()
        self.products: set[str] = set()  # every SKU that has a row, deleted ones too
        self.ever: set[tuple[str, Row, int]] = set()  # every row at every version, for the judge

    def fork_off(self, length: int | None = None) -> ServerStore:
        """Return a database folded from the log's beginning, of now or of when it had `length` records."""
        twin = ServerStore(cluster=self.cluster, page_rows=self.page_rows)
        for record in self.records[:length]:
            twin.replay(record)
        twin.timeline = self.timeline
        return twin

    # --- transactions

    def begin(self) -> int:
        """Take a transaction id for a transaction that stays open."""
        xid = self.next_xid
        self.next_xid += 1
        self.begun.add(xid)
        return xid

    def horizon(self) -> int:
        """Return the lowest id that may still become visible: what lies below is settled."""
        return min(self.begun, default=self.next_xid)

    def write(self, *record: object) -> None:
        """Commit a transaction: it is durable at once."""
        self.replay(record)

    def replay(self, record: Record) -> None:
        """Fold a record in."""
        self.records.append(record)
        getattr(self, f"_do_{record[0]}")(*record[1:])

    def _do_term(self, term: Term, timeline: int) -> None:
        self.term, self.term_timeline = term, timeline

    def _do_session(self, key: Key, session: bytes) -> None:
        journal = self.journals.get(key)
        if journal is None:
            journal = self.journals[key] = Journal(row=new_row(cluster=self.cluster, key=key))
        journal.row = replace(journal.row, session=session)

    def _do_batch(self, key: Key, plan: Plan, payloads: tuple[bytes, ...]) -> None:
        journal = self.journals[key]
        journal.entries.extend(zip(plan.hashes, payloads, strict=True))
        journal.row = replace(journal.row, durable=plan.head)
        posting = plan.posting
        for row in posting.receipts:
            self._post(key, journal, row)
        for seq, code, detail in posting.flags:
            self.flags.add((key, seq, code))
            if code == "unknown_receipt":
                self.awaited.setdefault(detail, []).append((key, seq))
        for number in posting.met:
            for place in self.awaited.pop(number, ()):
                self.flags.discard((*place, "unknown_receipt"))
        journal.asides.extend(posting.asides)
        journal.zs.extend(posting.closed)
        for close in posting.closes:
            self._close(key.till, close.incarnation, close.seq)
            journal.continues.append(close.incarnation)

    def _post(self, key: Key, journal: Journal, row: ReceiptRow) -> None:
        posted = Posted(key, row)
        journal.receipts.append(row)
        self.by_number.setdefault(row.receipt_no, posted)
        if row.status == "posted":
            self.by_op[row.receipt.op_id] = posted
        else:
            self.duplicates.append(posted)

    def _close(self, till: str, incarnation: bytes, seq: int) -> None:
        key = Key(till=till, incarnation=incarnation)
        journal = self.journals.get(key)
        if journal is None:
            journal = self.journals[key] = Journal(row=new_row(cluster=self.cluster, key=key))
        journal.row = replace(journal.row, closed_at=max(seq, journal.row.closed_at or 0))

    def _do_resolve(self, key: Key, seq: int) -> None:
        self.journals[key].resolved.add(seq)

    def _do_edit(self, xid: int, op_id: bytes | None, request: bytes, changes: tuple[MasterChange, ...]) -> None:
        self.begun.discard(xid)
        self.next_xid = max(self.next_xid, xid + 1)
        rows = tuple(self._change(xid, change) for change in changes)
        if op_id is not None:
            self.operations[op_id] = (request, rows)

    def _do_fold(self, xid: int, changes: tuple[MasterChange, ...], folded: dict[Key, int]) -> None:
        self._do_edit(xid, None, b"", changes)
        for key, seq in folded.items():
            self.journals[key].folded = seq

    def _change(self, xid: int, change: MasterChange) -> tuple[str, Row, int]:
        table, key = change.table, change.key
        rows = self.tables.setdefault(table, {})
        old, version = rows.get(key, (None, self.forgotten))
        values = change.values
        if change.add and values is not None:
            before = int(old[len(key)] or 0) if old is not None else 0
            values = (before + int(values[0] or 0),)
        row = None if values is None else (*key, *values)
        rows[key] = (row, version + 1)
        if table == "product":
            self.products.add(str(key[0]))
        self.ever.add((table, key if row is None else row, version + 1))
        delta = 0 if old is None else -row_digest(table, old, version)
        delta += 0 if row is None else row_digest(table, row, version + 1)
        self.digests[table] = (self.digests.get(table, 0) + delta) % DIGEST_MODULUS
        self.change_xid[(table, key)] = xid
        self.last_xid = max(xid, self.last_xid)
        self.travelling.pop((table, key), None)
        if change.urgent:
            self.urgent.append((xid, table, key))
        return table, key, version + 1

    def _do_compact(self) -> None:
        """Forget tombstones; cursors from before are below the floor."""
        self.floor = self.horizon()
        for table, rows in self.tables.items():
            for key in [key for key, (row, _) in rows.items() if row is None]:
                self.forgotten = max(self.forgotten, rows[key][1])
                del rows[key]
                if table == "product":
                    self.products.discard(str(key[0]))
                self.change_xid.pop((table, key), None)

    # --- reading

    def journal_row(self, key: Key) -> JournalRow | None:
        """Return the till's row."""
        journal = self.journals.get(key)
        return None if journal is None else journal.row

    def durable(self, key: Key) -> int:
        """Return how far a journal is stored."""
        journal = self.journals.get(key)
        return 0 if journal is None else journal.row.durable.seq

    def hash_at(self, key: Key, seq: int) -> bytes | None:
        """Return the stored hash at a sequence above 0."""
        journal = self.journals.get(key)
        if journal is None or not 0 < seq <= len(journal.entries):
            return None
        return journal.entries[seq - 1][0]

    def stock_changes(self) -> tuple[tuple[MasterChange, ...], dict[Key, int]]:
        """Return what posted receipts do to stock that is not folded in yet."""
        sums: dict[str, int] = {}
        folded: dict[Key, int] = {}
        for key, journal in self.journals.items():
            if journal.folded < journal.row.durable.seq:
                folded[key] = journal.row.durable.seq
                for row in reversed(journal.receipts):
                    if row.seq <= journal.folded:
                        break
                    if row.status == "posted":
                        for line in row.receipt.lines:
                            sums[line.sku] = sums.get(line.sku, 0) - line.qty
        changes = tuple(MasterChange("stock", (sku,), (qty,), add=True) for sku, qty in sorted(sums.items()))
        return changes, folded

    def changed_since(self, pos: int) -> bool:
        """Return whether a run from `pos` would bring anything."""
        return self.last_xid >= pos

    def page(
        self,
        *,
        pos: int,
        scan_to: int | None,
        after: tuple[str, str] | None,
        urgent_pos: int,
        key: Key,
        limit: int,
    ) -> FeedPage:
        """Answer a feed request from one snapshot: this instant. The same page serves all tills."""
        limit = min(limit, self.page_rows)
        place = (pos, scan_to, after, urgent_pos, limit, len(self.records), self.horizon())
        made = self.pages.get(place)
        if made is None:
            if len(self.pages) > 100:
                self.pages.clear()
            made = self.pages[place] = self._make_page(pos, scan_to, after, urgent_pos, limit)
        folded = self.journals[key].folded if key in self.journals else 0
        return msgspec.structs.replace(made, stock_seq=folded) if folded else made

    def _make_page(
        self, pos: int, scan_to: int | None, after: tuple[str, str] | None, urgent_pos: int, limit: int
    ) -> FeedPage:
        horizon = self.horizon()
        found: list[tuple[str, str, Row]] = []
        if self.changed_since(pos):
            found = sorted(
                (table, _text(row_key), row_key)
                for (table, row_key), xid in self.change_xid.items()
                if xid >= pos and (scan_to is None or xid < scan_to)
            )
        if after is not None:
            found = [item for item in found if item[:2] > after]
        shown = found[:limit]
        more = len(found) > len(shown)
        opening = scan_to is None
        last = opening and not more
        return FeedPage(
            term=self.term_wire(),
            from_pos=pos,
            scan_to=None if last else (horizon if opening else scan_to),
            after=shown[-1][:2] if more else None,
            pos=horizon if opening else (scan_to or 0),
            last=last,
            rows=tuple(self.feed_row(table, row_key) for table, _, row_key in shown),
            urgent=self._urgent_rows(urgent_pos, limit),
            digests=tuple(sorted(self.digests.items())) if last else (),
            urgent_pos=horizon,
            tombstone_floor=self.floor,
        )

    def _urgent_rows(self, urgent_pos: int, limit: int) -> tuple[FeedRow, ...]:
        """Return about `limit` urgent rows from a position on, with the product and tax that a price needs."""
        places: dict[tuple[str, Row], None] = {}
        for xid, table, key in self.urgent:
            if xid < urgent_pos or len(places) >= 3 * limit:
                continue
            product = self.tables.get("product", {}).get(key[:1], (None, 0))[0]
            if product is not None:
                places[("tax_rate", (product[2],))] = None
                places[("product", key[:1])] = None
            places[(table, key)] = None
        rows = self.tables
        return tuple(self.feed_row(table, key) for table, key in places if key in rows.get(table, {}))

    def feed_row(self, table: str, key: Row) -> FeedRow:
        """Return a row as it travels; made once for all tills."""
        found = self.travelling.get((table, key))
        if found is None:
            row, version = self.tables[table][key]
            deleted = row is None
            found = FeedRow(table=table, row=key if row is None else row, version=version, deleted=deleted)
            self.travelling[(table, key)] = found
        return found

    def chunk(self, *, table: str, after: str | None, start_pos: int | None, limit: int) -> LoadChunk:
        """Return a chunk of a table's live rows in key order."""
        keys = sorted((_text(key), key) for key, (row, _) in self.tables.get(table, {}).items() if row)
        rest = [item for item in keys if after is None or item[0] > after]
        shown = rest[: min(limit, self.page_rows)]
        return LoadChunk(
            term=self.term_wire(),
            table=table,
            start_pos=self.horizon() if start_pos is None else start_pos,
            after=shown[-1][0] if len(rest) > len(shown) else None,
            rows=tuple(self.feed_row(table, key) for _, key in shown),
        )

    def term_wire(self) -> TermWire:
        """Return the term as it travels."""
        return TermWire(cluster=self.term.cluster, n=self.term.n, id=self.term.id)

    def key_length(self, table: str) -> int:
        """Return how many columns a table's key has."""
        return KEY_LENGTH[table]

    def mark(self, key: Key) -> Mark | None:
        """Return a journal's durable mark."""
        journal = self.journals.get(key)
        return None if journal is None else journal.row.durable
