"""The upload of a journal that another one continues: what is common up to its end is owed to every server.

Keeps: nothing of it is added or pruned here; how far it is sent is asked anew with each handshake. What a server
has otherwise, of a clone, is recalled: it goes on in the till's own journal, and this one ends before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import Connection

from syncref.core.uplink_messages import (
    Alarm,
    PersistProgress,
    Phase,
    Prune,
    Rebase,
    Recall,
    Recalled,
    UplinkEffect,
    UplinkEvent,
    UplinkState,
    Wake,
)
from syncref.domain.identity import Key, Mark, Term, genesis_hash
from syncref.store.till_journal import persist_term
from syncref.store.till_prune import anchor_of
from syncref.store.till_rebase import Closed, end_of, recall
from syncref.store.till_state import read_state
from syncref.till.uplink import Uplink, UplinkParts


class OwedUplink(Uplink):
    """Sends one closed journal. `grown` is told the own journal's head when something was recalled into it."""

    def __init__(
        self,
        parts: UplinkParts,
        closed: Closed,
        *,
        grown: Callable[[Mark], None],
        term_met: Callable[[Term], None],
    ) -> None:
        super().__init__(parts, name=f"owed {closed.key.incarnation.hex()[:8]}", term_met=term_met)
        self._closed = closed
        self._grown = grown

    @property
    def journal(self) -> Key:
        """The journal that is sent."""
        return self._closed.key

    def begin(self) -> tuple[UplinkState, Iterable[UplinkEvent]]:
        """Begin with nothing acked: the handshake says how far the server is."""
        with self._database.read() as connection:
            stored = read_state(connection)
            lowest = anchor_of(connection, self._closed.key)
            common = end_of(connection, self._closed.key)
        if common != self._closed.common:  # a recall of unknown outcome did happen
            self._ended(common, into=stored.key, head=stored.head)
        self._cluster = stored.cluster
        term = None
        if stored.term_n is not None and stored.term_id is not None:
            term = Term(cluster=stored.cluster, n=stored.term_n, id=stored.term_id)
        key = self._closed.key
        anchor = lowest or Mark(seq=0, hash=genesis_hash(cluster=stored.cluster, key=key))
        state = UplinkState(key=key, head=common, anchor=anchor, term=term, frozen=True)
        return state, [Wake(head=common)] if self._parts.wanted() else []

    def sync_now(self) -> Mark:
        """Ask for an upload at once."""
        self.post(Wake(now=True))
        return self._closed.common

    def stepped(self, state: UplinkState) -> None:
        """Nobody waits for this journal; what was wrong with it is over once a server takes it."""
        if state.phase is Phase.READY:
            self._parts.alarms.clear(self.name)

    def moved(self, *, acked: int, safe: int) -> None:
        """Nobody waits for this journal."""

    def store_progress(self, connection: Connection, effect: PersistProgress) -> None:
        """Store the term alone: how far the server has the till's own journal is another matter."""
        persist_term(connection, term_n=effect.term.n, term_id=effect.term.id)

    def carry_out(self, effect: UplinkEffect) -> UplinkEvent | None:
        """Carry an effect out; a closed journal is never pruned."""
        match effect:
            case Prune():
                return None
            case Alarm():
                self._parts.alarms.raise_(self.name, effect.code, effect.detail)
                return None
            case _:
                return super().carry_out(effect)

    def continue_from(self, effect: Rebase | Recall) -> Recalled:
        """Let this journal end where a server has it otherwise, and the own one go on with the rest.

        Raises CommitUnknown.
        """
        made = recall(self._database, frozen=self._closed.key, common=effect.common)
        self._ended(effect.common, into=made.key, head=made.head)
        return Recalled(head=effect.common)

    def _ended(self, common: Mark, *, into: Key, head: Mark) -> None:
        moved = self._closed.common.seq - common.seq
        self._closed = Closed(key=self._closed.key, common=common)
        detail = (
            f"journal {self._closed.key.incarnation.hex()} agrees with the server up to {common.seq}, "
            f"{moved} later entries journaled anew in {into.incarnation.hex()}"
        )
        self._parts.alarms.raise_("journal", "recalled", detail)
        self._grown(head)
