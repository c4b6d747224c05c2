"""A small shop chain in virtual time: tills, servers, cashiers, clerks, and what befalls them."""

from __future__ import annotations

from random import Random

from chaos.fleet.simulated.bites import Bites
from chaos.fleet.simulated.cashiers import Cashiers
from chaos.fleet.simulated.clerks import Clerks
from chaos.fleet.simulated.disk import Disk
from chaos.fleet.simulated.history import History
from chaos.fleet.simulated.loop import Loop
from chaos.fleet.simulated.misfortunes import befall
from chaos.fleet.simulated.network import SPEED_MS, Client, Link, Respond
from chaos.fleet.simulated.plan import Action, Plan
from chaos.fleet.simulated.receiver import REQUEST_TIMEOUT_MS
from chaos.fleet.simulated.server import ServerNode
from chaos.fleet.simulated.server_store import ServerStore
from chaos.fleet.simulated.till import TillNode
from chaos.fleet.simulated.watch import Watch
from syncref.core import failover
from syncref.core.downlink_messages import DownlinkOptions
from syncref.core.failover import Role
from syncref.core.uplink_messages import UplinkOptions
from syncref.domain.identity import Key

CLUSTER = "sim"
EPOCH_MS = 1_767_225_600_000
DRAIN_MS = 300_000  # a till on a bad line loads its masters whole in a minute or two
TABLES = ("tax_rate", "product", "price", "goods_receipt", "stock")


class World:
    """Everything there is. `draw` is the schedule's own chance; ids come from a stream of their own."""

    def __init__(self, plan: Plan, *, transcript: list[str] | None = None) -> None:
        self.plan = plan
        self.transcript = transcript
        self.cluster = CLUSTER
        self.epoch_ms = EPOCH_MS
        self.loop = Loop()
        self.draw = Random(f"draw/{plan.seed}")  # noqa: S311
        self._ids = Random(f"ids/{plan.seed}")  # noqa: S311
        self.timelines = 1
        self.retention_ms = plan.retention_ms
        self.uplink_options = UplinkOptions(
            servers=2,
            batch_entries=plan.batch_entries,
            backoff_max_ms=2000,
            keepalive_ms=plan.settings.get("keepalive_ms", 3000),
        )
        self.downlink_options = DownlinkOptions(
            servers=2,
            wait_ms=plan.settings.get("wait_ms", 4000),
            backoff_max_ms=2000,
            page_rows=plan.page_rows,
            good_ms=REQUEST_TIMEOUT_MS // 4,
            tables=TABLES,
        )
        self.history = History()
        self.bites = Bites()
        self.watch = Watch(self)
        self.poison: set[bytes] = set()
        self.losers: set[int] = set()  # tills that lost a disk, or share one's content with another
        self.twins: set[int] = set()  # of those, tills that went on from an older or copied disk
        self.declared: set[bytes] = set()
        self.edits_lost = False
        self.restored_ms = 0
        self.disks_lost: list[tuple[int, set[bytes]]] = []
        self.healed = False
        self.clones: dict[int, int] = {}
        self.outages: list[TillNode] = []
        self.servers: list[ServerNode] = []
        self.tills: list[TillNode] = []
        self.peers: dict[tuple[int, int], Link] = {}
        self.cashiers = Cashiers(self)
        self.clerks = Clerks(self)
        self._build()

    # --- construction

    def _build(self) -> None:
        store = ServerStore(cluster=CLUSTER, page_rows=self.plan.page_rows)
        store.write("edit", store.begin(), None, b"", self.clerks.opening())
        live = ServerNode(self, "server A", store)
        standby = ServerNode(self, "server B", store.fork_off())
        standby.standby_of = live
        self.servers = [live, standby]
        standby.rank = 0
        for one, other in ((0, 1), (1, 0)):
            self.peers[(one, other)] = self.link(self.servers[one], self.servers[other])
        self.clerks.connect()
        standby.start()
        live.start()
        for index in range(self.plan.tills):
            key = Key(till=f"T{index + 1:02d}", incarnation=self.fresh())
            self.add_till(Disk(), key)
        fold_ms = self.plan.settings.get("fold_ms", 2000)
        self.loop.after(fold_ms, self._fold, fold_ms)

    def link(self, client: Client, server: ServerNode) -> Link:
        """Lay a link from a client to a server."""
        return Link(self.loop, self.draw, client, server, self.bites)

    def add_till(self, disk: Disk, key: Key) -> TillNode:
        """Set a till up and switch it on."""
        node = TillNode(self, key.till, disk, key)
        node.index = len(self.tills)
        node.links = [self.link(node, server) for server in self.servers]
        self.tills.append(node)
        self.loop.after(100, self.switch_on, node)
        return node

    def switch_on(self, node: TillNode | ServerNode) -> None:
        """Start a node that is off."""
        if not node.alive:
            node.guarded_start()

    def fresh(self) -> bytes:
        """Return 16 random bytes."""
        return self._ids.randbytes(16)

    def next_timeline(self) -> int:
        """Return a timeline that no database has been on."""
        self.timelines += 1
        return self.timelines

    def peer_ask(self, asker: ServerNode, peer: ServerNode, request: str, argument: object, done: Respond) -> None:
        """Let one server ask another."""
        link = self.peers[(self.servers.index(asker), self.servers.index(peer))]
        link.ask(request, argument, timeout_ms=1000, done=done, failed=_nothing)

    def lost_with(self, till: TillNode, ops: set[bytes]) -> None:
        """Declare what a lost disk may take with it: what not every server has yet."""
        self.losers.add(till.index)
        for server in self.servers:
            server.catch_up()
        everywhere = [set(server.store.by_op) for server in self.servers]
        self.declared |= {op for op in ops if not all(op in known for known in everywhere)}
        self.disks_lost.append((till.index, ops))

    def restored(self) -> None:
        """Declare what an older database lacks and no till's disk has any more."""
        self.restored_ms = self.loop.now
        self.edits_lost = True
        for _, ops in self.disks_lost:
            self.declared |= ops

    def live(self) -> ServerNode | None:
        """Return the server that takes writes, the one of the highest term if there are two."""
        taking = [server for server in self.servers if server.alive and server.open]
        return max(taking, key=lambda server: server.store.term.n, default=None)

    # --- the run

    def run(self) -> None:
        """Play the plan, heal, close the days, drain."""
        for action in self.plan.actions:
            self.loop.after(action.at, self.act, action)
        self.loop.after(150, self._sample)
        self.loop.run(self.plan.heal_ms)
        self.heal()
        self.loop.run(self.loop.now + 3000)
        self.confirm()
        self.drain(DRAIN_MS)
        for till in self.tills:
            if not till.gone:
                self.cashiers.close(till.index)
        self.drain(DRAIN_MS)
        live = self.live()
        if live is not None:
            live.backoffice.fold_stock()
            live.backoffice.resolve_asides()
        self.loop.run(self.loop.now + 5000)
        self.drain(60_000)

    def act(self, action: Action) -> None:
        """Let an action of the plan happen."""
        if not (self.cashiers.act(action) or self.clerks.act(action)):
            befall(self, action)

    def _sample(self) -> None:
        for till in self.tills:
            self.watch.sample(till)
        self.loop.after(self.plan.settings.get("sample_ms", 100), self._sample)

    def _fold(self, every_ms: int) -> None:
        live = self.live()
        if live is not None:
            live.backoffice.fold_stock()
        self.loop.after(every_ms, self._fold, every_ms)

    # --- after the misfortunes

    def heal(self) -> None:
        """Lift every misfortune and switch on what is off; sell and sync nothing by hand."""
        self.note("--- everything is healed")
        self.healed = True
        links = [link for till in self.tills for link in till.links]
        for link in (link for till in self.outages for link in till.links):
            link.usual.cut = False
        for link in (*links, *self.peers.values(), *self.clerks.links):
            link.weather = link.fair()
        for server in self.servers:
            server.doom, server.disk_full, server.replication_stopped_ms, server.lag_ms = -1, False, None, 5
            self.switch_on(server)
        for till in self.tills:
            till.doom, till.disk_full, till.unknown_commits, till.replies_cut = -1, False, 0, False
            if not till.syncing:
                till.syncing = True
                till.wake()
            self.switch_on(till)

    def confirm(self) -> None:
        """Where no server went live by itself, the operator confirms the one of the highest term.

        So he does with a live one that raises the alarm that tills have met a newer term than there is.
        """
        live = self.live()
        if live is not None:
            if live.failover.highest_seen > live.store.term.n:
                live.note("is confirmed by the operator: tills are past its term")
                live.guarded(failover.OperatorConfirmed(fresh_id=self.fresh()))
            return
        waiting = [
            server
            for server in self.servers
            if server.failover.role in (Role.STARTING, Role.FENCED) and server.standby_of is None
        ]
        if waiting:
            chosen = max(waiting, key=lambda server: server.store.term.n)
            chosen.note("is confirmed by the operator")
            chosen.guarded(failover.OperatorConfirmed(fresh_id=self.fresh()))

    def drain(self, deadline_ms: int) -> None:
        """Wait until all is quiet, a second at a time."""
        until = self.loop.now + deadline_ms
        while self.loop.now < until:
            self.loop.run(self.loop.now + 1000)
            if not self.unsettled():
                return
            if self.loop.now % 5000 < 1000:
                self.confirm()
        for what in self.unsettled():
            self.watch.find("drain", what)

    def unsettled(self) -> list[str]:
        """Return what is not quiet yet, read from the databases."""
        live = self.live()
        if live is None:
            return ["no server is live"]
        found = []
        for till in self.tills:
            if till.gone:
                continue
            store = till.store
            head = store.journal.head
            if live.store.durable(store.journal.key) < head.seq:
                found.append(f"{till.name} has {head.seq}, {live.name} less")
            elif head.seq and live.store.hash_at(store.journal.key, head.seq) != head.hash:
                found.append(f"{till.name} has another entry {head.seq} than {live.name}")
            elif not store.loaded or store.cursor is None or store.cursor.term != live.store.term:
                found.append(f"{till.name} has no masters of term {live.store.term.n}")
            elif live.store.changed_since(store.cursor.pos):
                found.append(f"{till.name} lacks edits after {store.cursor.pos}")
            elif till.links[0].usual.latency_ms > SPEED_MS and live.store.digests != store.masters.whole_digests():
                found.append(f"{till.name} is still fetching rows that differ over its slow line")
        found.extend(f"{op.hex()[-6:]} is waiting" for op in self.cashiers.waiting())
        found.extend(f"document {op.hex()[-6:]} is waiting" for op in self.clerks.waiting())
        return found

    def note(self, text: str) -> None:
        """Write a line of the transcript."""
        if self.transcript is not None:
            self.transcript.append(f"{self.loop.now:>8}  {text}")


def _nothing() -> None:
    """Do nothing about a peer that does not answer."""
