"""Memory hog: a till's memory is used up to its cap, and the kernel kills. The engine starts the till again.

Only a fleet of containers can do it: its /tmp is memory within the cap, and its engine restarts what the kernel
killed.
"""

from __future__ import annotations

from functools import partial

from chaos.errors import FaultFailed
from chaos.faults.abilities import Squeezes
from chaos.faults.base import Bite, Context, together
from chaos.faults.onnode import NodeFault

BACK_S = 20.0
LOOK_S = 0.25


class MemoryHog(NodeFault):
    """Fills the memory of tills until the kernel kills them at their limit."""

    kind = "memory_hog"
    aim = "till"
    containers_only = True

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.was: dict[str, int | None] = {}
        self.kills_before: dict[str, int] = {}

    def obstacle(self, context: Context) -> str | None:
        """The fleet must be able to, and every target must be a node with a limit."""
        fleet = context.fleet
        if not isinstance(fleet, Squeezes):
            return "only containers can be filled to their memory limit and are started again: use --fleet docker"
        missing = super().obstacle(context)
        if missing is not None:
            return missing
        free = [node for node in self.targets if fleet.counters()[node].memory_limit_bytes is None]
        return f"no memory limit on {', '.join(free)}" if free else None

    def inject(self, context: Context) -> None:
        """Fill the memory of all targets."""
        fleet = squeezing(context)
        for node in self.targets:
            self.was[node] = fleet.pid(node)
            self.kills_before[node] = fleet.counters()[node].oom_kills or 0
        for node in self.targets:
            fleet.squeeze(node)

    def lift(self, context: Context) -> None:
        """Wait until what was killed is back by itself, and free the memory of what was not killed."""
        fleet = squeezing(context)
        late = []
        for node in self.targets:
            if not context.wait_until(partial(_back, fleet, node), BACK_S, every_s=LOOK_S):
                late.append(node)
            if fleet.state(node) == "running" and fleet.pid(node) == self.was.get(node):
                fleet.relieve(node)
        if late:
            raise FaultFailed(f"{', '.join(late)}: not back {BACK_S:g} s after its memory was used up")

    def evidence(self, context: Context) -> Bite:
        """The kernel killed at the limit, and each target lives on as another process."""
        return together(self._of(context, node) for node in self.targets)

    def _of(self, context: Context, node: str) -> Bite:
        fleet = squeezing(context)
        counted = fleet.counters()[node]
        killed = (counted.oom_kills or 0) - self.kills_before.get(node, 0)
        was, now = self.was.get(node), fleet.pid(node)
        if was is None:
            return Bite(bit=False, text=f"{node} was not running")
        if killed <= 0:
            return Bite(bit=False, text=f"{node}: the kernel counts no out-of-memory kill")
        if now == was:
            return Bite(bit=False, text=f"{node}: the kernel killed {killed} times at its limit, but not the till")
        limit = (counted.memory_limit_bytes or 0) // 2**20
        return Bite(bit=True, text=f"{node}: process {was} killed at its limit of {limit} MiB, runs as {now}")


def squeezing(context: Context) -> Squeezes:
    """Return the fleet; obstacle() has seen that it can."""
    assert isinstance(context.fleet, Squeezes)
    return context.fleet


def _back(fleet: Squeezes, node: str) -> bool:
    return fleet.state(node) == "running" and fleet.healthy(node)
