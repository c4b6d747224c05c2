"""Takes clerks' documents, folds sales into stock, resolves what was set aside."""

from __future__ import annotations

from typing import NamedTuple

from chaos.fleet.simulated.asking import EditAnswered, EditAsked
from chaos.fleet.simulated.hosts import ServerHost
from chaos.fleet.simulated.network import Killed, Lost, Respond
from chaos.fleet.simulated.server_store import SqlError
from syncref.core.ingest import Refusal
from syncref.domain.masters import Row


class Pending(NamedTuple):
    """A stored document whose answer waits for the standbys."""

    boot: int
    asked: EditAsked
    rows: tuple[tuple[str, Row, int], ...]
    respond: Respond
    lost: Lost


class BackOffice:
    """Where clerks send their documents."""

    def __init__(self, server: ServerHost) -> None:
        self.server = server

    def edit(self, asked: EditAsked, respond: Respond, lost: Lost) -> None:
        """Take a document, whole or not at all."""
        if not self.server.open:
            respond(Refusal(code="not_live", message="not the live server"))
            return
        known = self.prior_edit(asked.op_id)
        if known is not None:
            reused = known[0] != asked.request
            self._answer_edit(asked, known[1], respond, lost, reused=reused)
            return
        places = {(change.table, change.key) for change in asked.changes}
        if places & self.server.locked:
            respond(Refusal(code="busy", message="a row is locked"))
            return
        xid = self.server.store.begin()
        if asked.hold_ms:
            # The transaction has an id already and locks its rows only as it writes them.
            self.server.world.loop.after(
                asked.hold_ms, self._edit_held, self.server.boot, xid, asked, respond, lost
            )
            return
        self._finish_edit(xid, asked, respond, lost)

    def prior_edit(self, op_id: bytes) -> tuple[bytes, tuple[tuple[str, Row, int], ...]] | None:
        """Return request and result of a document that was stored under this op id."""
        return self.server.store.operations.get(op_id)

    def _edit_held(self, boot: int, xid: int, asked: EditAsked, respond: Respond, lost: Lost) -> None:
        if not self.server.alive or boot != self.server.boot:
            lost()
            return
        try:
            if not self.server.open or self.prior_edit(asked.op_id) is not None:
                self.server.store.begun.discard(xid)
                respond(Refusal(code="not_live", message="not the live server any more"))
                return
            self._finish_edit(xid, asked, respond, lost)
        except Killed:
            self.server.die()
            lost()

    def _finish_edit(self, xid: int, asked: EditAsked, respond: Respond, lost: Lost) -> None:
        try:
            self.server.commit("edit", xid, asked.op_id, asked.request, asked.changes)
        except SqlError:
            self.server.store.begun.discard(xid)
            respond(Refusal(code="storage_failed", message="disk full"))
            return
        self.server.changed()
        self._answer_edit(asked, self.server.store.operations[asked.op_id][1], respond, lost)

    def _answer_edit(
        self,
        asked: EditAsked,
        rows: tuple[tuple[str, Row, int], ...],
        respond: Respond,
        lost: Lost,
        *,
        reused: bool = False,
    ) -> None:
        if reused:
            respond(EditAnswered(at_risk=False, rows=rows, reused=True))
            return
        self._confirm(Pending(self.server.boot, asked, rows, respond, lost), tries=10)

    def _confirm(self, pending: Pending, *, tries: int) -> None:
        """Answer ok once every standby has the document; at risk when it takes too long."""
        if not self.server.alive or pending.boot != self.server.boot:
            pending.lost()
        elif self.server.on_standbys(pending.asked.op_id):
            pending.respond(EditAnswered(at_risk=False, rows=pending.rows, at_ms=self.server.world.loop.now))
        elif tries == 0:
            pending.respond(EditAnswered(at_risk=True, rows=pending.rows))
        else:
            self.server.world.loop.after(50, lambda: self._confirm(pending, tries=tries - 1))

    def fold_stock(self) -> None:
        """Take new posted receipts into the stock rows."""
        changes, folded = self.server.store.stock_changes()
        if not folded:
            return
        try:
            self.server.commit("fold", self.server.store.begin(), changes, folded)
        except Killed:
            self.server.die()
        except SqlError:
            self.server.store.begun.clear()
        else:
            if changes:
                self.server.changed()

    def resolve_asides(self) -> None:
        """A clerk writes off what was set aside, and op ids that came twice."""
        for key, journal in self.server.store.journals.items():
            left = {row.seq for row in journal.asides}
            left |= {row.seq for row in journal.receipts if row.status == "duplicate"}
            for seq in sorted(left - journal.resolved):
                self.server.commit("resolve", key, seq)
