"""What faults on processes share: they take a node down or stop it, and it has to come back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from chaos.errors import ChaosError
from chaos.faults.base import Aim, Context, Fault, Healed


class NodeFault(Fault):
    """A fault on processes: tills, servers, the back office or a database by their node names."""

    aim: ClassVar[Aim] = "node"

    def obstacle(self, context: Context) -> str | None:
        """Every target must be a node of the fleet."""
        missing = [target for target in self.targets if target not in context.fleet.names()]
        return f"there is no node {', '.join(missing)}" if missing else None

    def verify(self, context: Context) -> Healed:
        """Every target runs and answers."""
        faulty = []
        for target in self.targets:
            state = context.fleet.state(target)
            if state != "running":
                faulty.append(f"{target} is {state}")
            elif not context.fleet.healthy(target):
                faulty.append(f"{target} runs and does not answer")
        if faulty:
            return Healed(ok=False, text="; ".join(faulty))
        return Healed(ok=True, text=f"{', '.join(self.targets)} running and answering")


class DownFault(NodeFault):
    """A fault that takes nodes down at its beginning and starts them again at its end."""

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.was: dict[str, int | None] = {}
        self.status: dict[str, int | None] = {}
        self.answered: dict[str, bool] = {}

    def take_down(self, context: Context, node: str) -> int | None:
        """End one node; return its exit status."""
        raise NotImplementedError

    def inject(self, context: Context) -> None:
        """Take all targets down, having noted that they were up."""
        for node in self.targets:
            self.was[node] = context.fleet.pid(node)
        for node in self.targets:
            self.status[node] = self.take_down(context, node)
            self.answered[node] = context.fleet.healthy(node)

    def lift(self, context: Context) -> None:
        """Start whatever is down."""
        start_again(context, self.targets)


def start_again(context: Context, nodes: Iterable[str]) -> None:
    """Start whatever is down, in this order; the first error is raised after every node was tried."""
    errors = []
    for node in nodes:
        try:
            if context.fleet.state(node) in {"stopped", "ended"}:
                context.fleet.start(node)
        except ChaosError as error:
            errors.append(error)
    if errors:
        raise errors[0]
