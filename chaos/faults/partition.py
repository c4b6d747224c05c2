"""Partition: nothing passes between two servers, neither the log nor a word; the tills reach both.

Each must take the other for dead, and only one may go on. What the live one commits now, a standby that is
promoted in its place never had.
"""

from __future__ import annotations

from chaos.faults.base import Bite, Context
from chaos.faults.onlink import SETTLE_S, LinkFault
from chaos.fleet.links import Link


class Partition(LinkFault):
    """Cuts all links that begin at its targets, and heals them."""

    kind = "partition"
    aim = "node"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.outcomes: dict[str, str] = {}
        self.begun: dict[str, tuple[int | None, int | None]] = {}
        self.ended: dict[str, tuple[int | None, int | None]] = {}

    def obstacle(self, context: Context) -> str | None:
        """Every target must be a node from which links lead to others."""
        alone = [target for target in self.targets if not context.fleet.links(target)]
        return f"no link leads from {', '.join(alone)} to another server" if alone else None

    def inject(self, context: Context) -> None:
        """Cut, let what was under way land, and note how far the logs are."""
        for link in self.links(context):
            link.cut()
        context.sleep(SETTLE_S)
        self.begun = self._logs(context)

    def observe(self, context: Context) -> None:
        """Note how far the logs are, as long as there is a standby; who is first read now begins here."""
        now = self._logs(context)
        if now.keys() - self.begun.keys():
            self.begun = now | self.begun
        elif any(received is not None for _, received in now.values()):
            self.ended = now

    def lift(self, context: Context) -> None:
        """Try each link once more, and heal."""
        if not self.outcomes:
            self.outcomes = {link.name: self._tried(link) for link in self.links(context)}
        super().lift(context)

    def evidence(self, context: Context) -> Bite:
        """Every link was cut to the end; the primary's log grew, and no standby received any of it."""
        open_links = [name for name, outcome in self.outcomes.items() if outcome != "cut"]
        if open_links or not self.outcomes:
            return Bite(bit=False, text=f"not cut: {', '.join(open_links) or 'no link was tried'}")
        grown, came = 0, list[int]()
        for node, (written, received) in self.ended.items():
            before_written, before_received = self.begun.get(node, (None, None))
            if written is not None and before_written is not None:
                grown = max(grown, written - before_written)
            if received is not None and before_received is not None:
                came.append(received - before_received)
        if any(come > 0 for come in came):
            return Bite(bit=False, text=f"a standby received {max(came)} bytes all the same")
        if not came:
            return Bite(bit=None, text="what the standby received meanwhile could not be read")
        if not grown:
            return Bite(bit=False, text="no server wrote anything meanwhile, so nothing was held back")
        names = ", ".join(self.outcomes)
        return Bite(bit=True, text=f"{names} cut; {grown} bytes of log written, none of them received")

    def _tried(self, link: Link) -> str:
        return "open" if link.state().enabled else "cut"

    def _logs(self, context: Context) -> dict[str, tuple[int | None, int | None]]:
        found = {}
        for node in context.system.databases:
            reading = context.witness.log_of(node)
            if reading is not None:
                found[node] = (reading.written, reading.received)
        return found
