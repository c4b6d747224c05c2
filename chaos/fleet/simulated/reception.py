"""Takes handshakes and batches: the ingest core on the simulated database."""

from __future__ import annotations

import msgspec

from chaos.fleet.simulated.hosts import ServerHost
from chaos.fleet.simulated.network import Lost, Respond
from chaos.fleet.simulated.server_store import Posted, SqlError
from syncref.core import failover, ingest
from syncref.core.ingest import JournalRow, Plan, Refusal
from syncref.core.posting import Posting, Remedy, classify_sqlstate, remedy, set_aside
from syncref.core.step import replace
from syncref.domain.identity import Key
from syncref.wire.entry import Entry, decode_entry
from syncref.wire.sync import Ack, Batch, Hello


class Reception:
    """Where tills send their journals."""

    def __init__(self, server: ServerHost) -> None:
        self.server = server

    def hello(self, hello: Hello, respond: Respond, lost: Lost) -> None:
        """Answer a handshake."""
        key = Key(till=hello.till, incarnation=hello.incarnation)
        if hello.term is not None and hello.term.cluster == self.server.store.cluster:
            reported = hello.term.n
            if reported > self.server.store.term.n:
                self.server.lead(failover.TillReported(term_n=reported))
        decided = ingest.greet(
            self.server.view(),
            self.server.store.journal_row(key),
            hello,
            hash_at_head=self.server.store.hash_at(key, hello.head_seq),
            session=self.server.world.fresh(),
            safe=self.server.safe(key) if self.server.open else 0,
            now_ms=self.server.clock_ms(),
        )
        if isinstance(decided, ingest.RaiseTerm):
            self.server.lead(failover.TillAhead(fresh_id=self.server.world.fresh()))
            respond(Refusal(code="busy", message="a new term begins"))
        elif isinstance(decided, Refusal):
            respond(decided)
        else:
            self.server.commit("session", key, decided.answer.session)
            self.server.accepted_terms.add((self.server.store.term.n, self.server.store.term.id))
            respond(decided.answer)

    def batch(self, batch: Batch, respond: Respond, lost: Lost) -> None:
        """Take a batch, whole or not at all."""
        key = Key(till=batch.till, incarnation=batch.incarnation)
        row = self.server.store.journal_row(key)
        plan = self.plan(key, row, batch)
        if isinstance(plan, Refusal):
            self.server.note(f"refuses {key.till} {batch.first_seq}..: {plan.code}")
            respond(plan)
            return
        if plan.hashes:
            try:
                plan = self.store_plan(key, plan, batch.payloads[plan.drop :])
            except SqlError as error:
                self.server.note(f"could not store {key.till} {plan.first}..{plan.head.seq}: {error.sqlstate}")
                respond(Refusal(code="storage_failed", message=error.sqlstate))
                return
            self.server.accepted_terms.add((self.server.store.term.n, self.server.store.term.id))
            if self.server.world.transcript is not None:
                self.server.note(f"stored {key.till} {plan.first}..{plan.head.seq}")
        self.acknowledge(batch, plan, respond)

    def acknowledge(self, batch: Batch, plan: Plan, respond: Respond) -> None:
        """Ack what is durable."""
        key = Key(till=batch.till, incarnation=batch.incarnation)
        self.server.world.watch.acked(self.server, key, plan.ack)
        safe = self.server.safe_told.get(key, 0)
        respond(Ack(session=batch.session, seq=plan.ack.seq, hash=plan.ack.hash, safe=safe))

    def plan(self, key: Key, row: JournalRow | None, batch: Batch) -> Plan | Refusal:
        """Look up what the core needs, and let it decide."""
        stored: dict[int, bytes] = {}
        needed = None if row is None else ingest.hashes_needed(row, batch)
        if needed is not None:
            entries = self.server.store.journals[key].entries
            stored = {seq: entries[seq - 1][0] for seq in range(needed[0], needed[1] + 1)}
        drop = 0 if row is None else ingest.already_stored(row, batch)
        return ingest.plan_batch(
            self.server.view(),
            row,
            batch,
            stored=stored,
            entries=[decoded(payload) for payload in batch.payloads[drop:]],
            known_ops=self.known_ops(),
            receipts=self.server.store.by_number,
            products=self.known_products(),
            awaited=self.server.store.awaited,
        )

    def known_ops(self) -> dict[bytes, Posted]:
        """Return the op ids posted so far."""
        return self.server.store.by_op

    def known_products(self) -> set[str]:
        """Return the known SKUs."""
        return self.server.store.products

    def store_plan(self, key: Key, plan: Plan, payloads: tuple[bytes, ...]) -> Plan:
        """Commit a plan; entries that the database refuses are set aside, one by one."""
        tries = 0
        while True:
            try:
                self.insert(plan.posting)
            except SqlError as error:
                tries += 1
                failure = classify_sqlstate(error.sqlstate)
                if remedy(failure, tries=tries, entries=1) is Remedy.RETRY_LATER:
                    raise
                refused = [row.seq for row in plan.posting.receipts] if error.seq is None else [error.seq]
                posting = plan.posting
                for seq in refused:
                    posting = set_aside(posting, seq, error.sqlstate)
                plan = replace(plan, posting=posting)
            else:
                self.server.commit("batch", key, plan, payloads)
                return plan

    def insert(self, posting: Posting) -> None:
        """Stand in for a database that can't hold a value of an entry, or has no room for its rows."""
        if self.server.disk_full and posting.receipts:
            self.server.world.bites.count("disk.server")
            raise SqlError("53100")
        poison = self.server.world.poison
        if poison:
            for row in posting.receipts:
                if row.receipt.op_id in poison:
                    self.server.world.bites.count("poison")
                    raise SqlError("22003", row.seq)


def decoded(payload: bytes) -> Entry | str:
    """Return an entry, or why it can't be read."""
    try:
        return decode_entry(payload)
    except msgspec.DecodeError as error:
        return str(error)
