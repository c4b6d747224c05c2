"""What the parts of a node see of it: uploaders and receivers of their till, desks of their server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from chaos.fleet.simulated.disk import Disk
from chaos.fleet.simulated.network import Link
from chaos.fleet.simulated.scene import Scene
from chaos.fleet.simulated.server_store import ServerStore
from chaos.fleet.simulated.till_store import TillStore
from syncref.core.failover import FailoverEvent
from syncref.core.ingest import ServerView
from syncref.core.uplink_messages import UplinkState
from syncref.domain.identity import Key, Mark, Term
from syncref.domain.masters import Row


class NodeHost(Protocol):
    """What parts of either kind of node need. `boot` counts its starts."""

    world: Scene
    name: str
    alive: bool
    boot: int

    def boundary(self, effect: object) -> None:
        """Stand before an effect: here the node may die."""

    def note(self, text: str) -> None:
        """Write a line of the transcript."""

    def clock_ms(self) -> int:
        """Return the machine's own clock."""

    def die(self) -> None:
        """Stop at once."""


class TillHost(NodeHost, Protocol):
    """A till, for what uploads its journals and brings its masters."""

    index: int
    key: Key
    disk: Disk
    store: TillStore
    links: list[Link]
    offset_ms: int
    rate: float

    def guarded(self, call: Callable[..., None], *arguments: object) -> None:
        """Run something that may kill the node."""

    def met_term(self, term: Term) -> None:
        """Tell the uploaders of a term."""

    def rebase(self, common: Mark) -> None:
        """Go on in a new incarnation."""

    def recall(self, frozen: Key, common: Mark) -> None:
        """Go on in the till's own journal with what a continued one has after a mark."""

    def owe(self, state: UplinkState) -> None:
        """Upload a continued journal as well."""


class ServerHost(NodeHost, Protocol):
    """A server, for its reception, its feed and its back office."""

    store: ServerStore
    open: bool
    disk_full: bool
    locked: set[tuple[str, Row]]
    safe_told: dict[Key, int]
    accepted_terms: set[tuple[int, bytes]]

    @property
    def standby_of(self) -> ServerHost | None:
        """The server whose log it replays."""

    def commit(self, *record: object) -> None:
        """Commit a transaction between two boundaries."""

    def catch_up(self) -> None:
        """Replay what has arrived by now."""

    def safe(self, key: Key) -> int:
        """Return how far a journal is on every promotable standby."""

    def view(self) -> ServerView:
        """Return what a transaction sees of term and role."""

    def lead(self, event: FailoverEvent) -> None:
        """Step the failover core."""

    def changed(self) -> None:
        """Answer tills that wait for a change."""

    def on_standbys(self, op_id: bytes) -> bool:
        """Return whether all promotable standbys have a document."""
