"""A second process that uploads a till's queue beside the till, its batches out of order."""

from __future__ import annotations

from chaos.fleet.simulated.hosts import TillHost
from syncref.core.ingest import Refusal
from syncref.wire.sync import Batch, Hello, HelloAnswer, TermWire


class Intruder:
    """Shakes hands as the till, then sends the later half of what is missing before the earlier one."""

    def __init__(self, till: TillHost, server: int) -> None:
        self.till = till
        self.link = till.links[server]
        self.sent = False

    def try_often(self, times: int) -> None:
        """Begin again and again, until something was there to be sent."""
        if times and not self.sent and self.till.alive:
            self.till.guarded(self.begin)
            self.till.world.loop.after(100, self.try_often, times - 1)

    def begin(self) -> None:
        """Shake hands."""
        store = self.till.store
        term = store.term
        key = store.journal.key
        hello = Hello(
            till=key.till,
            incarnation=key.incarnation,
            term=None if term is None else TermWire(cluster=term.cluster, n=term.n, id=term.id),
            head_seq=store.journal.head.seq,
            head_hash=store.journal.head.hash,
            acked=0,
            safe=0,
            cursor_pos=0,
        )
        self.link.ask("hello", hello, timeout_ms=2000, done=self._greeted, failed=_nothing)

    def _greeted(self, answer: object) -> None:
        if isinstance(answer, Refusal) or not isinstance(answer, HelloAnswer):
            return
        store = self.till.store
        durable, head = answer.durable_seq, store.journal.head.seq
        if head <= durable or durable < store.anchor.seq:
            return
        middle = (durable + head) // 2
        for after, upto in ((middle, head), (durable, middle)):
            if upto > after and store.hash_at(store.journal.key, after) is not None:
                self._send(answer, after, upto - after)

    def _send(self, answer: HelloAnswer, after: int, count: int) -> None:
        key = self.till.store.journal.key
        previous, payloads, _ = self.till.store.load(key, after, count)
        batch = Batch(
            session=answer.session,
            term=answer.term,
            till=key.till,
            incarnation=key.incarnation,
            first_seq=after + 1,
            prev_hash=previous,
            payloads=payloads,
        )
        self.sent = True
        self.till.world.bites.count("uploader")
        self.till.note(f"second uploader sends {after + 1}..{after + count}")
        self.link.ask("batch", batch, timeout_ms=2000, done=_heard, failed=_nothing)


def _heard(answer: object) -> None:
    """Take an answer without interest."""


def _nothing() -> None:
    """Do nothing about a failure."""
