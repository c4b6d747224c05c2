"""A chain with its cashiers and clerks: built from a plan, and healed when misfortunes are over."""

from __future__ import annotations

from chaos.fleet.simulated.cashiers import Cashiers
from chaos.fleet.simulated.chain import Chain
from chaos.fleet.simulated.clerks import Clerks
from chaos.fleet.simulated.disk import Disk
from chaos.fleet.simulated.network import SPEED_MS, Link
from chaos.fleet.simulated.plan import Plan
from chaos.fleet.simulated.scene import CLUSTER
from chaos.fleet.simulated.server import ServerNode
from chaos.fleet.simulated.server_store import ServerStore
from chaos.fleet.simulated.till import TillNode
from syncref.core import failover
from syncref.core.failover import Role
from syncref.domain.identity import Key


class World(Chain):
    """Everything there is. `outages`: tills that are cut off until everything is healed."""

    def __init__(self, plan: Plan, *, transcript: list[str] | None = None) -> None:
        super().__init__(plan, transcript=transcript)
        self.healed = False
        self.outages: list[TillNode] = []
        self.peers: dict[tuple[int, int], Link] = {}
        self.cashiers = Cashiers(self)
        self.clerks = Clerks(self)
        self._build()

    def _build(self) -> None:
        store = ServerStore(cluster=CLUSTER, page_rows=self.plan.page_rows)
        store.write("edit", store.begin(), None, b"", self.clerks.opening())
        live = ServerNode(self, "server A", store)
        standby = ServerNode(self, "server B", store.fork_off())
        standby.standby_of = live
        self.servers = [live, standby]
        standby.rank = 0
        for one, other in ((0, 1), (1, 0)):
            link = self.link(self.servers[one], self.servers[other])
            self.peers[(one, other)] = link
            self.servers[one].peers.append((self.servers[other], link))
        self.clerks.connect()
        standby.start()
        live.start()
        for index in range(self.plan.tills):
            key = Key(till=f"T{index + 1:02d}", incarnation=self.fresh())
            self.add_till(Disk(), key)
        fold_ms = self.plan.settings.get("fold_ms", 2000)
        self.loop.after(fold_ms, self._fold, fold_ms)

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
