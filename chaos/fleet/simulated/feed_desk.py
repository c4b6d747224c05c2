"""Answers feed requests from the simulated database, at once or when something changed."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.fleet.simulated.hosts import ServerHost
from chaos.fleet.simulated.network import Lost, Respond
from syncref.core import failover
from syncref.core.ingest import Refusal
from syncref.domain.identity import Key, Term


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedAsked:
    """A feed request as it arrives."""

    key: Key
    pos: int
    term: Term | None
    scan_to: int | None
    after: tuple[str, str] | None
    urgent_pos: int
    wait_ms: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkAsked:
    """A request for a chunk of a table."""

    table: str
    after: str | None
    start_pos: int | None
    limit: int


class FeedDesk:
    """Where tills get their masters."""

    def __init__(self, server: ServerHost) -> None:
        self.server = server
        self.waiters: list[tuple[FeedAsked, Respond, Lost, list[bool]]] = []

    def close(self) -> None:
        """Let everybody go who waits: the server died."""
        for _, _, lost, gone in self.waiters:
            if not gone[0]:
                lost()
        self.waiters = []

    def feed(self, asked: FeedAsked, respond: Respond, lost: Lost) -> None:
        """Answer a feed request, or hold it while nothing changes."""
        own = self.server.store.term
        if asked.term is not None and asked.term.cluster == own.cluster and asked.term.n > own.n:
            self.server.lead(failover.TillReported(term_n=asked.term.n))
        if not self.server.open:
            respond(Refusal(code="not_live", message="not the live server"))
            return
        same = asked.term == self.server.store.term
        if same and asked.wait_ms and asked.scan_to is None and not self.server.store.changed_since(asked.pos):
            gone = [False]
            self.waiters.append((asked, respond, lost, gone))
            self.server.world.loop.after(asked.wait_ms, self._wait_over, self.server.boot, asked, respond, gone)
            return
        respond(self.page(asked))

    def page(self, asked: FeedAsked) -> object:
        """Answer a feed request. Of another term's position only the part below the horizon means anything."""
        pos = asked.pos
        if asked.term != self.server.store.term and asked.scan_to is None:
            pos = min(pos, self.server.store.horizon())
        return self.server.store.page(
            pos=pos,
            scan_to=asked.scan_to,
            after=asked.after,
            urgent_pos=asked.urgent_pos,
            key=asked.key,
            limit=asked.limit,
        )

    def _wait_over(self, boot: int, asked: FeedAsked, respond: Respond, gone: list[bool]) -> None:
        if gone[0] or not self.server.alive or boot != self.server.boot:
            return
        gone[0] = True
        respond(self.page(asked) if self.server.open else Refusal(code="not_live", message="not live"))

    def wake_waiters(self) -> None:
        """Answer those who wait: something changed."""
        waiting, self.waiters = self.waiters, []
        for asked, respond, _, gone in waiting:
            if not gone[0]:
                gone[0] = True
                respond(self.page(asked))

    def chunk(self, asked: ChunkAsked, respond: Respond, lost: Lost) -> None:
        """Answer a request for a chunk of a table."""
        if not self.server.open:
            respond(Refusal(code="not_live", message="not the live server"))
            return
        chunk = self.server.store.chunk(
            table=asked.table, after=asked.after, start_pos=asked.start_pos, limit=asked.limit
        )
        respond(chunk)
