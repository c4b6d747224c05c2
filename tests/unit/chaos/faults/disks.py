"""Tills' disks of the fake shop: entries are numbers, a copy is the head at its moment."""

from __future__ import annotations

from dataclasses import dataclass, field

from chaos.errors import FaultFailed
from chaos.faults.disks import Gone
from tests.unit.chaos.faults.shop import FakeShop


@dataclass
class FakeDisks:
    """`broken`: what fails; `torn`: tills whose disks that left in between. A copy sells `copy_sells` receipts."""

    shop: FakeShop
    broken: set[str] = field(default_factory=set)
    copy_sells: int = 3
    kept: dict[str, int] = field(default_factory=dict)
    selling: set[str] = field(default_factory=set)
    opened: list[str] = field(default_factory=list)
    torn: set[str] = field(default_factory=set)

    def _do(self, what: str) -> None:
        if what in self.broken:
            raise FaultFailed(what)

    def keep(self, till: str) -> int:
        """Remember the head."""
        self._do("keep")
        self.kept[till] = self.shop.tills[till].head
        return self.kept[till]

    def put_back(self, till: str) -> Gone:
        """Back to the head that was kept."""
        self._do("put_back")
        return self._lose(till, self.kept[till])

    def wipe(self, till: str) -> Gone:
        """Back to nothing."""
        self._do("wipe")
        return self._lose(till, 0)

    def _lose(self, till: str, kept: int) -> Gone:
        assert self.shop.states[till] != "running"
        found = self.shop.tills[till]
        there = max(kept, found.at_server)
        gone = Gone(head=found.head, kept=kept, arrived=there - kept, missing=found.head - there)
        found.head = kept
        self.torn.discard(till)
        return gone

    def half_done(self, till: str) -> bool:
        """Whether it is torn."""
        return till in self.torn

    def provision(self, till: str) -> None:
        """Set up."""
        self._do("provision")

    def reopen(self, till: str) -> None:
        """Open the day."""
        self._do("reopen")
        self.opened.append(till)

    def clone(self, till: str) -> str:
        """A node that does not run."""
        self._do("clone")
        self.shop.states[f"{till}-clone"] = "new"
        return f"{till}-clone"

    def sell_at(self, node: str) -> None:
        """Sell."""
        assert self.shop.states[node] == "running"
        self.selling.add(node)

    def stop_selling_at(self, node: str) -> int:
        """Stop."""
        self._do("stop_selling_at")
        self.selling.remove(node)
        return self.copy_sells
