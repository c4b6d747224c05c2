"""The upload of a journal that another one continues: what is common up to its end is owed to every server.

Keeps: nothing of it is added, rebased or pruned here; how far it is sent is asked anew with each handshake.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from syncref.core.uplink_messages import (
    Alarm,
    PersistProgress,
    Phase,
    Prune,
    UplinkEffect,
    UplinkEvent,
    UplinkState,
    Wake,
)
from syncref.domain.identity import Mark, Term, genesis_hash
from syncref.store.till_rebase import Closed
from syncref.store.till_state import write_state
from syncref.till.uplink import Uplink, UplinkParts


class OwedUplink(Uplink):
    """Sends one closed journal."""

    def __init__(self, parts: UplinkParts, closed: Closed) -> None:
        super().__init__(parts, name=f"owed {closed.key.incarnation.hex()[:8]}")
        self._closed = closed

    def begin(self) -> tuple[UplinkState, Iterable[UplinkEvent]]:
        """Begin with nothing acked: the handshake says how far the server is."""
        stored = self._stored()
        self._cluster = stored.cluster
        term = None
        if stored.term_n is not None and stored.term_id is not None:
            term = Term(cluster=stored.cluster, n=stored.term_n, id=stored.term_id)
        key, common = self._closed.key, self._closed.common
        genesis = Mark(seq=0, hash=genesis_hash(cluster=stored.cluster, key=key))
        state = UplinkState(key=key, head=common, anchor=genesis, term=term, frozen=True)
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
        write_state(connection, term_n=effect.term.n, term_id=effect.term.id)

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
