"""A fake shop for fault tests: time passes only by sleeping, and every passed tick each till sells and uploads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from chaos.errors import ProxyUnavailable
from chaos.faults.base import Bite, Context, Fault, Fleet, Healed, SystemPlan
from chaos.fleet.links import Link, Probe
from chaos.fleet.node import State
from chaos.proxy.client import ProxyState, Toxic
from chaos.witness import ServerLog

TICK_S = 0.1


@dataclass
class FakeLink:
    """A link whose toxics decide what a till's request comes to. `wedged`: the proxy server no longer answers."""

    till: str
    server: str = "server"
    toxics: list[Toxic] = field(default_factory=list)
    enabled: bool = True
    wedged: bool = False
    bytes: dict[str, int] | None = field(default_factory=lambda: {"upstream": 0, "downstream": 0})

    @property
    def name(self) -> str:
        """As the fleet names proxies."""
        return f"{self.till}:{self.server}"

    def cut(self) -> ProxyState:
        """Disable."""
        self.enabled = False
        return self.state()

    def add(self, toxic: Toxic, *, live: bool = False) -> ProxyState:
        """Add a toxic."""
        self.toxics.append(toxic)
        return self.state()

    def spare(self, toxic: Toxic) -> ProxyState:
        """Keep a toxic for old connections only: new requests are free of it."""
        self.toxics = [one for one in self.toxics if one.name != toxic.name]
        return self.state()

    def heal(self) -> ProxyState:
        """Lift everything, unless the server is wedged."""
        if self.wedged:
            raise ProxyUnavailable("503")
        self.toxics.clear()
        self.enabled = True
        return self.state()

    def state(self) -> ProxyState:
        """Read back."""
        if self.wedged:
            raise ProxyUnavailable("503")
        return ProxyState(
            name=self.name,
            listen="127.0.0.1:1",
            upstream="127.0.0.1:2",
            enabled=self.enabled,
            toxics=tuple(self.toxics),
        )

    def carried(self) -> dict[str, int] | None:
        """Bytes so far."""
        return None if self.bytes is None else dict(self.bytes)

    def probe(self, *, path: str = "/", timeout_s: float = 1.0) -> Probe:
        """One request."""
        return Probe(outcome=self.outcome(), took_ms=self.delay_ms())

    def kinds(self) -> set[str]:
        """What toxics are on."""
        return {toxic.type for toxic in self.toxics}

    def outcome(self) -> str:
        """What a request comes to."""
        if not self.enabled:
            return "refused"
        if "timeout" in self.kinds():
            return "silent"
        if "reset_peer" in self.kinds():
            return "reset"
        return "broken" if "limit_data" in self.kinds() else "answered"

    def delay_ms(self) -> float:
        """How long it takes."""
        return 1.0 + sum(toxic.attributes.get("latency", 0) for toxic in self.toxics)


@dataclass
class FakeTill:
    """A till's journal. `detour`: it reaches the server beside its link. `sells`: whether it writes entries."""

    name: str
    head: int = 10
    acked: int = 10
    at_server: int = 10
    sells: bool = True
    detour: bool = False
    readable: bool = True
    refused: int | None = 0
    offset_file: Path | None = None
    last_ms: int | None = None


@dataclass
class FakeShop:
    """Fleet and witness in one. Nodes answer while they run."""

    tills: dict[str, FakeTill]
    wires: dict[str, FakeLink]
    states: dict[str, State]
    statuses: dict[str, int] = field(default_factory=dict)
    immortal: set[str] = field(default_factory=set)
    pids: dict[str, int] = field(default_factory=dict)
    folder: Path = Path("/nowhere")
    clock_s: float = 0.0
    kind: str = "fake"
    logs: dict[str, ServerLog | None] = field(default_factory=dict)

    # time

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(max(1, round(seconds / TICK_S))):
            self.clock_s += TICK_S
            for till in self.tills.values():
                self.tick(till)

    def tick(self, till: FakeTill) -> None:
        """One sale and one upload."""
        offset = 0
        if till.offset_file is not None and till.offset_file.exists():
            offset = int(till.offset_file.read_text())
        if till.sells:
            till.head += 1
            till.last_ms = self.wall_ms() + offset
        wire = self.wires[till.name]
        if till.detour or (wire.outcome() == "answered" and wire.delay_ms() < 1000 * TICK_S):
            till.at_server = till.acked = till.head
        elif wire.outcome() == "answered":  # the ack is a tick behind
            till.acked, till.at_server = till.at_server, till.head
        elif wire.outcome() == "broken":
            till.at_server = till.head
        if not till.detour and wire.enabled and wire.bytes is not None:
            wire.bytes["upstream"] += 500

    def now_s(self) -> float:
        """Monotonic."""
        return self.clock_s

    def wall_ms(self) -> int:
        """Epoch."""
        return 1_700_000_000_000 + round(self.clock_s * 1000)

    # fleet

    def dir(self, node: str) -> Path:
        """A folder."""
        return self.folder

    def log(self, node: str) -> Path:
        """A log."""
        return self.folder / "log"

    def links(self, till: str | None = None) -> list[Link]:
        """All links, or a till's."""
        return [cast(Link, wire) for name, wire in self.wires.items() if till in (None, name)]

    def names(self) -> list[str]:
        """All nodes."""
        return list(self.states)

    def state(self, node: str) -> State:
        """What a node does."""
        return self.states[node]

    def pid(self, node: str) -> int | None:
        """Its process."""
        return self.pids.get(node, 1) if self.states[node] in {"running", "paused"} else None

    def start(self, node: str, *, wait: bool = True) -> int:
        """Another life."""
        self.states[node] = "running"
        self.pids[node] = self.pids.get(node, 1) + 1
        return self.pids[node]

    def stop(self, node: str) -> int | None:
        """A graceful end."""
        if node not in self.immortal:
            self.states[node] = "stopped"
        return self.statuses.get(node, 0)

    def kill(self, node: str) -> int | None:
        """A hard end."""
        if node not in self.immortal:
            self.states[node] = "stopped"
        return self.statuses.get(node, -9)

    def pause(self, node: str) -> None:
        """Stand still."""
        if node not in self.immortal:
            self.states[node] = "paused"

    def resume(self, node: str) -> None:
        """Go on."""
        self.states[node] = "running"

    def healthy(self, node: str) -> bool:
        """Whether it answers."""
        return self.states[node] == "running"

    # witness

    def server_seq(self, till: str) -> int | None:
        """What the server holds."""
        return self.tills[till].at_server if self.tills[till].readable else None

    def till_head(self, till: str) -> int | None:
        """What the till wrote."""
        return self.tills[till].head if self.tills[till].readable else None

    def till_acked(self, till: str) -> int | None:
        """What the till knows."""
        return self.tills[till].acked if self.tills[till].readable else None

    def till_reachable(self, till: str) -> bool:
        """Whether it answers."""
        return self.healthy(till)

    def till_last_sale_ms(self, till: str) -> int | None:
        """Its last receipt."""
        return self.tills[till].last_ms

    def log_of(self, server: str) -> ServerLog | None:
        """What a server's database is."""
        return self.logs.get(server)

    def refusals(self, till: str, code: str) -> int | None:
        """What it refused."""
        return self.tills[till].refused


def shop_of(*tills: str) -> FakeShop:
    """Return a shop of tills and a server, all well."""
    names = tills or ("T01",)
    states: dict[str, State] = dict.fromkeys((*names, "server", "postgres"), "running")
    return FakeShop(
        tills={name: FakeTill(name=name) for name in names},
        wires={name: FakeLink(till=name) for name in names},
        states=states,
    )


def context_of(shop: FakeShop, **system: object) -> Context:
    """Return the context of a shop."""
    return Context(
        fleet=cast(Fleet, shop),
        witness=shop,
        system=replace(SystemPlan(), **system),  # type: ignore[arg-type]
        now_s=shop.now_s,
        wall_ms=shop.wall_ms,
        sleep=shop.sleep,
    )


def suffered(context: Context, one: Fault, *, looks: int = 6) -> tuple[Bite, Healed]:
    """Run a fault through its life, half a second between looks."""
    one.inject(context)
    for _ in range(looks):
        context.sleep(0.5)
        one.observe(context)
    one.lift(context)
    return one.evidence(context), one.verify(context)


@dataclass
class FakePair(FakeShop):
    """A live server that writes a tick's bytes, and a standby that receives and replays them over its link."""

    paused: bool = False
    statements: list[str] = field(default_factory=list)
    promoting: bool = False

    def sleep(self, seconds: float) -> None:
        """Let time pass for the logs as well."""
        super().sleep(seconds)
        live, standby = self.logs.get("server"), self.logs.get("preproduction")
        if live is None or live.written is None:
            return
        live = self.logs["server"] = replace(live, written=live.written + 100)
        wire = self.wires.get("postgres-standby")
        if standby is not None and standby.role == "standby" and (wire is None or wire.enabled):
            replayed = standby.replayed if self.paused else live.written
            self.logs["preproduction"] = replace(standby, received=live.written, replayed=replayed)

    def execute(self, sql: str) -> None:
        """Run an administrator's function."""
        self.statements.append(sql)
        self.paused = "pause" in sql
        standby = self.logs["preproduction"]
        if standby is not None:
            self.logs["preproduction"] = replace(standby, paused=self.paused)

    def busy_with(self, function: str) -> bool:
        """Whether the standby is being promoted."""
        return self.promoting

    def start(self, node: str, *, wait: bool = True) -> int:
        """Another life; the promoter makes the standby live."""
        if node.startswith("promote-"):
            self.logs["preproduction"] = ServerLog(role="live", term_n=2, written=1)
            self.logs["server"] = ServerLog(role="fenced", term_n=1, written=1)
        return super().start(node, wait=wait)


def pair_of(*tills: str) -> FakePair:
    """Return a shop with preproduction, all well."""
    names = tills or ("T01",)
    nodes = (*names, "server", "postgres", "preproduction", "postgres-standby")
    wires = {name: FakeLink(till=name) for name in names}
    wires["postgres-standby"] = FakeLink(till="postgres-standby", server="postgres")
    return FakePair(
        tills={name: FakeTill(name=name) for name in names},
        wires=wires,
        states=dict.fromkeys(nodes, "running"),
        logs={
            "server": ServerLog(role="live", term_n=1, written=1000),
            "preproduction": ServerLog(role="standby", term_n=1, received=1000, replayed=1000),
        },
    )


def pair_context(shop: FakePair) -> Context:
    """Return the context of a pair, with its databases and a promoter."""
    return context_of(
        shop,
        databases={"server": shop, "preproduction": shop},
        promoters={"preproduction": "promote-preproduction"},
    )
