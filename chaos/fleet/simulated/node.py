"""What till and server nodes share: they die between two effects, and start again."""

from __future__ import annotations

from chaos.fleet.simulated.network import Killed
from chaos.fleet.simulated.scene import Scene


class Node:
    """A process on a machine. `crossed` counts the boundaries between its effects; it dies at `doom`."""

    kind = "node"

    def __init__(self, world: Scene, name: str) -> None:
        self.world = world
        self.name = name
        self.alive = False
        self.boot = 0
        self.crossed = 0
        self.doom = -1
        self.power = False
        self.offset_ms = 0
        self.rate = 1.0

    def clock_ms(self) -> int:
        """Return this machine's own clock: it starts near the true time, drifts and jumps."""
        return self.world.epoch_ms + int(self.world.loop.now * self.rate) + self.offset_ms

    def boundary(self, effect: object) -> None:
        """Stand before an effect, or inside one that has a name: here the node may die."""
        self.crossed += 1
        if self.crossed == self.doom:
            self.world.bites.kill(self.kind, effect if isinstance(effect, str) else type(effect).__name__)
            raise Killed

    def die_soon(self, boundaries: int, *, power: bool) -> None:
        """Let the node die `boundaries` effects from now, with its machine or alone."""
        self.doom = self.crossed + 1 + boundaries
        self.power = power

    def note(self, text: str) -> None:
        """Write a line of the transcript."""
        if self.world.transcript is not None:
            self.world.transcript.append(f"{self.world.loop.now:>8}  {self.name:<8} {text}")
