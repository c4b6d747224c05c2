"""What all fleets do alike, however a node is run: lives, links, and databases made on first use.

Keeps: a link is made once and has a proxy of its own; a standby is copied and streams through its link.
"""

from __future__ import annotations

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

import psycopg2
from psycopg2 import sql

from chaos.caps.base import Counters
from chaos.errors import NodeFailed, NodeUnknown
from chaos.fleet.base import POSTGRES, PROXY
from chaos.fleet.health import plain_dsn
from chaos.fleet.links import Link
from chaos.fleet.node import Ending, State
from chaos.fleet.plan import NO_CAPS, NodePlan
from chaos.profiles import Caps
from chaos.proxy.client import ProxyClient

CONNECT_S = 10
STATEMENT = "-c statement_timeout=60000"
DROP_SLOT = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = {}"


class Life(Protocol):
    """A node with its present life; chaos.fleet.node and chaos.fleet.docker.container say what each does."""

    @property
    def plan(self) -> NodePlan: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def lives(self) -> int: ...
    @property
    def endings(self) -> Sequence[Ending]: ...
    @property
    def state(self) -> State: ...
    def launch(self) -> int: ...
    def wait_healthy(self) -> None: ...
    def answers(self) -> bool: ...
    def stop(self) -> int | None: ...
    def kill(self) -> int | None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def notice(self) -> None: ...
    def counters(self) -> Counters: ...


class CommonFleet(ABC):
    """The part of a fleet that does not depend on how nodes are run."""

    def __init__(self) -> None:
        self._databases: set[tuple[str, str]] = set()
        self._links: dict[tuple[str, str], Link] = {}
        self._client: ProxyClient | None = None
        self._lock = threading.RLock()

    @abstractmethod
    def life(self, node: str) -> Life:
        """Return a node that was taken in; raise NodeUnknown."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return all nodes in the order they were staged."""

    @abstractmethod
    def address(self, node: str) -> str:
        """Return host:port where a node, or a link's entrance, is to listen."""

    @abstractmethod
    def peer(self, node: str) -> str:
        """Return host:port where other nodes find a node."""

    @abstractmethod
    def port(self, node: str) -> int:
        """Return a node's port, the same for the whole run."""

    @abstractmethod
    def url(self, node: str) -> str:
        """Return the base URL of a node for the lab, beside any link: https:// once `trust` was called."""

    @abstractmethod
    def close(self) -> None:
        """End everything that was started and remove it."""

    @abstractmethod
    def _entrances(self) -> tuple[str, str | None]:
        """Return the host of links' entrances for nodes, and for the lab where that is another."""

    @abstractmethod
    def _lab_dsn(self, node: str, database: str) -> str:
        """Return the SQLAlchemy URL of a database for the lab; raise NodeUnknown unless its server was made."""

    @abstractmethod
    def _copy_postgres(self, name: str, primary: str, link: Link, slot: str) -> None:
        """Make the files of a standby anew, by way of a link and with a slot made on the primary."""

    @abstractmethod
    def _stage_postgres(self, name: str, *, caps: Caps) -> None:
        """Stage a PostgreSQL server whose files are there."""

    # links

    @property
    def proxy(self) -> ProxyClient:
        """Return the hold on the proxy server."""
        if self._client is None:
            raise NodeUnknown("the proxy was not started")
        return self._client

    def link(self, till: str, server: str) -> Link:
        """Return the link between a till and a server; its proxy is made on first use, open and without toxics."""
        with self._lock:
            if (till, server) not in self._links:
                name = f"{till}:{server}"
                entrance = f"link {name}"
                self.proxy.create(name, listen=self.address(entrance), upstream=self.peer(server))
                host, lab_host = self._entrances()
                url = f"{self.url(server).partition(':')[0]}://{host}:{self.port(entrance)}"
                self._links[till, server] = Link(
                    till=till, server=server, url=url, name=name, client=self.proxy, lab_host=lab_host
                )
            return self._links[till, server]

    def links(self, till: str | None = None) -> list[Link]:
        """Return all links made so far, or those of one till."""
        return [link for link in self._links.values() if till in (None, link.till)]

    # databases

    def follow_postgres(self, name: str, primary: str, *, caps: Caps = NO_CAPS) -> None:
        """Make and start a streaming standby of a running PostgreSQL node, over the link `name` -> `primary`.

        A node that is there already is stopped and its cluster made anew, as after a failover.
        """
        again, slot = name in self.names(), name.replace("-", "_")
        if again:
            self.stop(name)
        link = self.link(name, primary)
        self._execute(primary, DROP_SLOT, sql.Literal(slot))
        self._copy_postgres(name, primary, link, slot)
        with self._lock:
            self._databases |= {(name, database) for node, database in self._databases if node == primary}
        if again:
            self.start(name)
        else:
            self._stage_postgres(name, caps=caps)

    def dsn(self, database: str, *, node: str = POSTGRES) -> str:
        """Return the SQLAlchemy URL of a database for the lab; the database is made on first use."""
        dsn = self._lab_dsn(node, database)
        with self._lock:
            if (node, database) not in self._databases:
                self._execute(node, "CREATE DATABASE {}", sql.Identifier(database))
                self._databases.add((node, database))
        return dsn

    def _execute(self, node: str, statement: str, value: sql.Composable) -> None:
        """Run an administrator's statement; raise NodeFailed, also when the database stands still."""
        dsn = plain_dsn(self._lab_dsn(node, "postgres"))
        try:
            with contextlib.closing(
                psycopg2.connect(dsn, connect_timeout=CONNECT_S, options=STATEMENT)
            ) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute(sql.SQL(statement).format(value))
        except psycopg2.Error as error:
            raise NodeFailed(f"{node}: {str(error).strip()}") from error

    # life

    def start(self, node: str, *, wait: bool = True) -> int:
        """Start a node that isn't running and wait until it is healthy; return its process id on this machine."""
        pid = self.life(node).launch()
        if wait:
            self.life(node).wait_healthy()
        return pid

    def stop(self, node: str) -> int | None:
        """End a node gracefully; return its exit status, or None if it was not running."""
        return self.life(node).stop()

    def kill(self, node: str) -> int | None:
        """Kill -9 a node with all its processes; return its status, or None if it was not running."""
        return self.life(node).kill()

    def pause(self, node: str) -> None:
        """Stop a node's processes in their tracks."""
        self.life(node).pause()

    def resume(self, node: str) -> None:
        """Let a paused node go on."""
        self.life(node).resume()

    def restart(self, node: str) -> int:
        """End a node gracefully and start it again; return the new process id."""
        self.stop(node)
        return self.start(node)

    def wait_healthy(self, node: str) -> None:
        """Wait until a started node answers, up to its plan's deadline."""
        self.life(node).wait_healthy()

    def healthy(self, node: str) -> bool:
        """Tell whether a node answers now; one without a health_url does while it runs."""
        return self.life(node).answers()

    def state(self, node: str) -> State:
        """Return new, running, paused, stopped, or ended (by itself)."""
        return self.life(node).state

    def pid(self, node: str) -> int | None:
        """Return the id of a node's first process on this machine, or None while it doesn't run."""
        return self.life(node).pid

    def plan(self, node: str) -> NodePlan:
        """Return the plan a node was staged with."""
        return self.life(node).plan

    def counters(self) -> dict[str, Counters]:
        """Return the kernel's account of every node."""
        return {name: self.life(name).counters() for name in self.names()}

    def lives(self) -> dict[str, int]:
        """Return how often every node was started, by whomever."""
        return {name: self.life(name).lives for name in self.names()}

    def unasked_endings(self) -> list[Ending]:
        """Return the ends of nodes that nobody asked for: crashes and out-of-memory kills."""
        found: list[Ending] = []
        for name in self.names():
            self.life(name).notice()
            found += [ending for ending in self.life(name).endings if not ending.asked]
        return found

    def lost(self) -> list[str]:
        """Return what of the lab itself ended by itself: from then on the nodes show nothing of their own."""
        return [PROXY] * any(ending.node == PROXY for ending in self.unasked_endings())

    # end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
