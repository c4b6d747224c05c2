"""Old server returns: what was killed as the live server is switched on again, with the database as it was.

It must find out by itself that another one is live; until then it may not take anything from anybody.
"""

from __future__ import annotations

from chaos.faults.base import Bite, Context
from chaos.faults.onnode import NodeFault


class OldServerReturns(NodeFault):
    """Starts its targets, in the order given: the database comes first."""

    kind = "old_server_returns"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.down: list[str] = []
        self.answered: set[str] = set()

    def inject(self, context: Context) -> None:
        """Start what is down and wait until it answers."""
        self.down = [node for node in self.targets if context.fleet.state(node) in {"stopped", "ended"}]
        for node in self.down:
            context.fleet.start(node)

    def observe(self, context: Context) -> None:
        """Look who answers."""
        self.answered |= {node for node in self.targets if context.fleet.healthy(node)}

    def lift(self, context: Context) -> None:
        """Look once more; they go on running, as machines do that were switched on."""
        self.observe(context)

    def evidence(self, context: Context) -> Bite:
        """Every target had been down, and answers again."""
        up = [node for node in self.targets if node not in self.down]
        if up:
            return Bite(bit=False, text=f"{', '.join(up)} had not been down")
        silent = [node for node in self.targets if node not in self.answered]
        if silent:
            return Bite(bit=False, text=f"{', '.join(silent)} did not answer again")
        return Bite(bit=True, text=f"{', '.join(self.targets)} had been down and answer again")
