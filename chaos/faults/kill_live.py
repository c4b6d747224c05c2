"""Kill live: a server dies with its database and whatever else runs beside it, all by kill -9 at one moment.

A machine without power: nobody starts it again at the end of the fault. That is another one, old_server_returns.
"""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

from chaos.faults.base import Bite, Context, Healed
from chaos.faults.onnode import NodeFault


class KillLive(NodeFault):
    """Kills all targets at once and leaves them dead."""

    kind = "kill_live"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.was: dict[str, int | None] = {}
        self.status: dict[str, int | None] = {}
        self.answered: dict[str, bool] = {}

    def inject(self, context: Context) -> None:
        """Kill everything side by side, so that none outlives another by the time that a kill takes."""
        self.was = {node: context.fleet.pid(node) for node in self.targets}
        with ThreadPoolExecutor(len(self.targets)) as pool:
            self.status = dict(zip(self.targets, pool.map(context.fleet.kill, self.targets), strict=True))
        self.answered = {node: context.fleet.healthy(node) for node in self.targets}

    def lift(self, context: Context) -> None:
        """Leave them as they are: a dead machine starts nothing by itself."""

    def verify(self, context: Context) -> Healed:
        """The fault is over with the kill; what the targets are now is told."""
        states = ", ".join(f"{node} is {context.fleet.state(node)}" for node in self.targets)
        return Healed(ok=True, text=f"nothing is left to lift: {states}")

    def evidence(self, context: Context) -> Bite:
        """Every target was up, died of the signal and answered nobody afterwards."""
        for node in self.targets:
            if self.was.get(node) is None:
                return Bite(bit=False, text=f"{node} was not running")
            if self.status.get(node) != -signal.SIGKILL:
                return Bite(bit=False, text=f"{node} ended with {self.status.get(node)}, not by the signal")
            if self.answered.get(node, True):
                return Bite(bit=False, text=f"{node} still answered after it was killed")
        killed = ", ".join(f"{node} (process {self.was[node]})" for node in self.targets)
        return Bite(bit=True, text=f"killed at one moment: {killed}")
