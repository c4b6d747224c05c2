"""A server node: the failover core, the database and its replication."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chaos.fleet.simulated.backoffice import BackOffice
from chaos.fleet.simulated.feed_desk import FeedDesk
from chaos.fleet.simulated.network import Killed, Link, Lost, Respond
from chaos.fleet.simulated.node import Node
from chaos.fleet.simulated.reception import Reception
from chaos.fleet.simulated.scene import Scene
from chaos.fleet.simulated.server_store import ServerStore, SqlError
from syncref.core import failover
from syncref.core.failover import FailoverState, Role
from syncref.core.ingest import ServerView
from syncref.domain.identity import Key, Term
from syncref.domain.masters import Row


class ServerNode(Node):
    """One of the servers. `standby_of` names the node whose log its database replays."""

    kind = "server"

    def __init__(self, world: Scene, name: str, store: ServerStore) -> None:
        super().__init__(world, name)
        self.store = store
        self.peers: list[tuple[ServerNode, Link]] = []
        self.standby_of: ServerNode | None = None
        self.commit_times: list[int] = [0] * len(store.records)
        self.died_ms: int | None = None
        self.lag_ms = 5
        self.replication_stopped_ms: int | None = None
        self.fence = 0
        self.rank = 1
        self.highest_told = 0  # the highest term that an operator told it when restoring
        self.open = False
        self.failover = FailoverState(term=store.term, timeline=1)
        self.reception = Reception(self)
        self.desk = FeedDesk(self)
        self.backoffice = BackOffice(self)
        self.routes: dict[str, Callable[[Any, Respond, Lost], None]] = {
            "hello": self.reception.hello,
            "batch": self.reception.batch,
            "feed": self.desk.feed,
            "chunk": self.desk.chunk,
            "edit": self.backoffice.edit,
            "peer": self._on_peer,
            "fence": self._on_fence,
        }
        self.locked: set[tuple[str, Row]] = set()
        self.safe_told: dict[Key, int] = {}
        self.disk_full = False
        self.accepted_terms: set[tuple[int, bytes]] = set()

    # --- life

    def start(self) -> None:
        """Boot: what is durable is all there is."""
        self.alive, self.open = True, False
        self.boot += 1
        self.died_ms = None
        self.store.begun.clear()
        self.locked.clear()
        self.failover = FailoverState(
            term=self.store.term,
            timeline=self.store.term_timeline,
            peers=1,
            rank=self.rank,
            ranks=2,
            highest_seen=self.highest_told,
        )
        self.note(f"starts on timeline {self.store.timeline}, term {self.store.term.n}")
        self.lead(
            failover.Started(
                timeline=self.store.timeline,
                in_recovery=self.standby_of is not None,
                fenced_by=self.fence,
                fresh_id=self.world.fresh(),
            )
        )

    def guarded_start(self) -> None:
        """Start; it may die of an earlier doom right away."""
        try:
            self.start()
        except Killed:
            self.die()

    def die(self) -> None:
        """Stop at once, with whatever is under way."""
        if not self.alive:
            return
        self.note("dies")
        if self.standby_of is not None:
            self.catch_up()
        self.alive, self.open, self.doom = False, False, -1
        self.died_ms = self.world.loop.now
        self.desk.close()

    def handle(self, request: str, argument: Any, respond: Respond, lost: Lost) -> None:
        """Take a request that arrived."""
        try:
            self.routes[request](argument, respond, lost)
        except Killed:
            self.die()
            lost()

    # --- the database

    def commit(self, *record: object) -> None:
        """Commit a transaction between two boundaries: before it nothing, after it everything is durable."""
        self.boundary(f"commit of {record[0]}")
        if self.disk_full and record[0] == "edit":
            self.world.bites.count("disk.server")
            raise SqlError("53100")
        self.store.write(*record)
        self.commit_times.append(self.world.loop.now)
        self.boundary("answer")

    def catch_up(self) -> None:
        """Replay, on a standby, what its primary has sent by now."""
        primary = self.standby_of
        if primary is None or not self.alive:
            return
        until = self.world.loop.now if primary.alive else (primary.died_ms or 0)
        if self.replication_stopped_ms is not None:
            until = min(until, self.replication_stopped_ms)
        until -= self.lag_ms
        records, times = primary.store.records, primary.commit_times
        have = len(self.store.records)
        while have < len(records) and times[have] <= until:
            self.store.replay(records[have])
            self.commit_times.append(times[have])
            have += 1

    def standbys(self) -> list[ServerNode]:
        """Return the promotable standbys of this server."""
        return [node for node, _ in self.peers if node.standby_of is self]

    def safe(self, key: Key) -> int:
        """Return how far a journal is on every promotable standby; without one it stays where it was."""
        heads = []
        for standby in self.standbys():
            standby.catch_up()
            heads.append(standby.store.durable(key))
        if heads:
            self.safe_told[key] = max(self.safe_told.get(key, 0), min(heads))
        return min(self.safe_told.get(key, 0), *heads) if heads else self.safe_told.get(key, 0)

    def on_standbys(self, op_id: bytes) -> bool:
        """Return whether all promotable standbys have a document: none attached is none that has it."""
        standbys = self.standbys()
        for standby in standbys:
            standby.catch_up()
            if op_id not in standby.store.operations:
                return False
        return bool(standbys)

    def changed(self) -> None:
        """Answer tills that wait for a change."""
        self.desk.wake_waiters()

    # --- failover

    def lead(self, event: failover.FailoverEvent) -> None:
        """Step the failover core and carry its effects out."""
        following: list[failover.FailoverEvent] = [event]
        while following:
            self.failover, effects = failover.step(self.failover, following.pop(0))
            for effect in effects:
                self.boundary(effect)
                after = self._carry_out(effect)
                if after is not None:
                    following.append(after)

    def _carry_out(self, effect: failover.FailoverEffect) -> failover.FailoverEvent | None:
        match effect:
            case failover.AskPeers():
                self._ask_peers(self.boot)
            case failover.PromoteDatabase():
                self._count_promotion()
                self.standby_of = None
                self.store.timeline = self.world.next_timeline()
                self.note(f"database promoted to timeline {self.store.timeline}")
                return failover.DatabasePromoted(timeline=self.store.timeline, term=self.store.term)
            case failover.PersistTerm():
                self.commit("term", effect.term, effect.timeline)
                self.note(f"term {effect.term.n} is durable")
                return failover.TermPersisted()
            case failover.PersistFence():
                self.persist_fence(effect.by)
                self.world.watch.fenced(self, effect.by)
                self.world.bites.count("fence")
                return failover.FencePersisted()
            case failover.OpenWrites():
                self.open = True
                self.world.watch.opened(self)
                self.note(f"opens writes in term {self.store.term.n}")
                self.world.loop.after(10, self._fence_peers, self.boot)
            case failover.CloseWrites():
                self.open = False
            case failover.AnswerFence():
                self.note(f"is fenced by term {self.failover.fenced_by}")
            case failover.Alarm():
                self.note(f"alarm {effect.code}: {effect.detail}")
        return None

    def _count_promotion(self) -> None:
        self.catch_up()
        self.world.bites.count("promote")
        primary = self.standby_of
        if primary is not None and len(primary.store.records) > len(self.store.records):
            self.world.bites.count("promote.lag")

    def persist_fence(self, by: int) -> None:
        """Store the fence beside the database."""
        self.fence = by

    def _ask_peers(self, boot: int) -> None:
        if not self.alive or self.boot != boot or self.failover.role is not Role.STARTING:
            return
        for _, link in self.peers:
            _ask(link, "peer", self.store.term.n, self._peer_answered)
        self.world.loop.after(1000, self._ask_peers, boot)

    def _fence_answered(self, answer: Any) -> None:
        role, term_n, term_id = answer
        self.guarded(failover.PeerAnswered(role=role, term_n=term_n, term_id=term_id))

    def _peer_answered(self, answer: Any) -> None:
        role, term_n = answer
        self.guarded(
            failover.PeerAnswered(role=role, term_n=term_n, fresh_id=self.world.fresh()),
        )

    def _fence_peers(self, boot: int) -> None:
        if not self.alive or self.boot != boot or self.failover.role is not Role.LIVE:
            return
        for peer, link in self.peers:
            if peer.standby_of is not self and peer.fence < self.store.term.n:
                _ask(link, "fence", self.store.term, self._fence_answered)
                self.world.loop.after(2000, self._fence_peers, boot)

    def guarded(self, event: failover.FailoverEvent) -> None:
        """Step from outside a request."""
        try:
            self.lead(event)
        except Killed:
            self.die()

    def _on_peer(self, term_n: int, respond: Respond, lost: Lost) -> None:
        self.catch_up()
        self.lead(failover.PeerAsked(term_n=term_n))
        respond((self.failover.role, max(self.store.term.n, self.fence)))

    def _on_fence(self, term: Term, respond: Respond, lost: Lost) -> None:
        self.lead(failover.FenceAsked(term_n=term.n, term_id=term.id))
        if self.failover.role is Role.FENCED:
            respond((Role.FENCED, self.store.term.n, self.store.term.id))
        else:
            lost()

    def view(self) -> ServerView:
        """Return what a transaction sees of term and role."""
        store = self.store
        return ServerView(term=store.term, live=self.open, timeline_ok=store.term_timeline == store.timeline)


def _ask(link: Link, request: str, argument: object, done: Respond) -> None:
    link.ask(request, argument, timeout_ms=1000, done=done, failed=_nothing)


def _nothing() -> None:
    """Do nothing about a peer that does not answer."""
