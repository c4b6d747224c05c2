"""A small shop chain in virtual time: its tills and servers, and what of them is declared lost."""

from __future__ import annotations

from chaos.fleet.simulated.disk import Disk
from chaos.fleet.simulated.network import Client, Link
from chaos.fleet.simulated.plan import Plan
from chaos.fleet.simulated.scene import Scene
from chaos.fleet.simulated.server import ServerNode
from chaos.fleet.simulated.till import TillNode
from chaos.fleet.simulated.watch import Watch
from syncref.domain.identity import Key


class Chain(Scene):
    """The nodes. `losers` are tills that lost a disk, or share one's content with another; `twins`, of those, went
    on from an older or copied disk; `clones` has the copy of each that was copied."""

    def __init__(self, plan: Plan, *, transcript: list[str] | None) -> None:
        super().__init__(plan, transcript=transcript)
        self.servers: list[ServerNode] = []
        self.tills: list[TillNode] = []
        self.losers: set[int] = set()
        self.twins: set[int] = set()
        self.clones: dict[int, int] = {}
        self.declared: set[bytes] = set()
        self.edits_lost = False
        self.restored_ms = 0
        self.disks_lost: list[tuple[int, set[bytes]]] = []
        self.watch = Watch(self)

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
