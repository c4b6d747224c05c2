"""Cloned till: a second till is started from a copy of a till's disk, and both sell under one identity.

Lifted means that nobody sells at the copy any more. It stays on until what it sold has arrived.
"""

from __future__ import annotations

from contextlib import suppress

from chaos.errors import ChaosError
from chaos.faults import duplicate_uploader
from chaos.faults.base import Bite, Context, Fault, Healed, planned_disks, together


class CloneTill(Fault):
    """Starts a copy of each till and lets a cashier sell there."""

    kind = "clone_till"
    aim = "till"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.nodes: dict[str, str] = {}
        self.met: dict[str, int] = {}
        self.head_before: dict[str, int | None] = {}
        self.head_after: dict[str, int | None] = {}
        self.sold: dict[str, int] = {}

    def obstacle(self, context: Context) -> str | None:
        """The plan must say how a till is copied."""
        return None if context.system.disks else "no way to copy a till is planned for this system"

    def inject(self, context: Context) -> None:
        """Copy, start and open all of them."""
        for till in self.targets:
            self.head_before[till] = context.witness.till_head(till)
            self.nodes[till] = planned_disks(context).clone(till)
            context.fleet.start(self.nodes[till])
            planned_disks(context).sell_at(self.nodes[till])

    def observe(self, context: Context) -> None:
        """Count the looks at which a copy was connected to a server, directly or by a link."""
        ports = duplicate_uploader.server_ports(context)
        for till, node in self.nodes.items():
            pid = context.fleet.pid(node)
            if pid is not None and ports & duplicate_uploader.connected_to(pid):
                self.met[till] = self.met.get(till, 0) + 1

    def lift(self, context: Context) -> None:
        """Look once more, if that can be done, and let nobody sell at the copies.

        The first error is raised after all were tried.
        """
        with suppress(ChaosError):
            self.observe(context)
        errors = []
        for till, node in self.nodes.items():
            try:
                if till not in self.sold:
                    self.sold[till] = planned_disks(context).stop_selling_at(node)
                    self.head_after[till] = context.witness.till_head(till)
            except ChaosError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def verify(self, context: Context) -> Healed:
        """Nobody sells at any copy."""
        left = [node for till, node in self.nodes.items() if till not in self.sold]
        if left:
            return Healed(ok=False, text=f"somebody still sells at {', '.join(left)}")
        return Healed(ok=True, text="nobody sells at the copies any more")

    def evidence(self, context: Context) -> Bite:
        """Each copy sold and met a server while its till sold, too."""
        return together(self._of(till) for till in self.targets)

    def _of(self, till: str) -> Bite:
        before, after = self.head_before.get(till), self.head_after.get(till)
        if before is None or after is None:
            return Bite(bit=None, text=f"{till}: its head could not be read")
        sold, met = self.sold.get(till, 0), self.met.get(till, 0)
        text = f"{till}: its copy made {sold} sales and was connected to a server at {met} looks"
        if after == before:
            return Bite(bit=False, text=f"{text}, while {till} itself wrote nothing")
        return Bite(bit=sold > 0 and met > 0, text=f"{text}; {till} went on to entry {after}")
