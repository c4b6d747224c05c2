"""A fake fleet of containers: its tills can be filled to their memory limit, and taken off their network."""

from __future__ import annotations

from dataclasses import dataclass, field

from chaos.caps.base import Counters
from tests.unit.chaos.faults.shop import FakeLink, FakeShop, FakeTill

LIMIT = 2**30


@dataclass
class FakeContainers(FakeShop):
    """`spared`: the kernel kills something else there; `restarts`: whether the engine starts what was killed."""

    kills: dict[str, int] = field(default_factory=dict)
    limits: dict[str, int | None] = field(default_factory=dict)
    spared: set[str] = field(default_factory=set)
    restarts: bool = True
    relieved: list[str] = field(default_factory=list)

    def squeeze(self, node: str) -> None:
        """Fill it; the kernel kills."""
        self.kills[node] = self.kills.get(node, 0) + 1
        if node in self.spared:
            return
        self.states[node] = "ended"
        if self.restarts:
            self.start(node)

    def relieve(self, node: str) -> None:
        """Give the memory back."""
        self.relieved.append(node)

    def counters(self) -> dict[str, Counters]:
        """What the kernel counted."""
        return {
            node: Counters(
                enforced=True,
                memory_limit_bytes=self.limits.get(node, LIMIT),
                oom_kills=self.kills.get(node, 0),
            )
            for node in self.states
        }

    def unplug(self, node: str) -> None:
        """Off the network: its link leads nowhere."""
        self.wires[node].enabled = False

    def plug(self, node: str) -> None:
        """On it again."""
        if node not in self.immortal:
            self.wires[node].enabled = True

    def plugged(self, node: str) -> bool:
        """Whether it is on it."""
        return self.wires[node].enabled


def containers_of(*tills: str) -> FakeContainers:
    """Return a fleet of tills, all well."""
    names = tills or ("T01",)
    return FakeContainers(
        tills={name: FakeTill(name=name) for name in names},
        wires={name: FakeLink(till=name) for name in names},
        states=dict.fromkeys(names, "running"),
    )
