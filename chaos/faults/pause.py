"""Pause: a process stands still as under a hung disk or a suspended machine, and keeps its connections."""

from __future__ import annotations

from chaos.errors import ChaosError
from chaos.faults.base import Bite, Context, together
from chaos.faults.onnode import NodeFault


class Pause(NodeFault):
    """Stops nodes with SIGSTOP and lets them go on at the end."""

    kind = "pause"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.was: dict[str, int | None] = {}
        self.stood: dict[str, bool] = {}

    def inject(self, context: Context) -> None:
        """Pause all targets."""
        for node in self.targets:
            self.was[node] = context.fleet.pid(node)
            context.fleet.pause(node)

    def lift(self, context: Context) -> None:
        """Note whether they stood still to the end, and let all of them go on."""
        errors = []
        for node in self.targets:
            try:
                if context.fleet.state(node) == "paused":
                    self.stood.setdefault(node, not context.fleet.healthy(node))
                    context.fleet.resume(node)
            except ChaosError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def evidence(self, context: Context) -> Bite:
        """Each target gave no answer while it was stopped, and goes on as the same process."""
        return together(self._of(context, node) for node in self.targets)

    def _of(self, context: Context, node: str) -> Bite:
        if not self.stood.get(node, False):
            return Bite(bit=False, text=f"{node} was not standing still at the end of its pause")
        now = context.fleet.pid(node)
        if now != self.was.get(node):
            return Bite(bit=False, text=f"{node} was another process afterwards ({self.was.get(node)}, {now})")
        return Bite(bit=True, text=f"{node}: process {now} stood still and answered nothing")
