"""What faults ask of whoever knows how a till's disk is laid out: copies, losses, second tills.

Implemented where the system under test is known; faults only know this protocol. All raise ChaosError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """What a disk took along: journal entries by number. head: the last one on it; kept: the last one left.

    `arrived` of those that are gone were on the server, `missing` are nowhere any more: the declared loss.
    """

    head: int
    kept: int
    arrived: int
    missing: int

    @property
    def entries(self) -> int:
        """How many are no longer on the till."""
        return self.arrived + self.missing


class TillDisks(Protocol):
    """The tills' disks. A till does not run while its disk is put back or wiped; either may be tried again."""

    def keep(self, till: str) -> int:
        """Copy a running till's disk aside, all of one instant; return the last journal entry on the copy."""
        ...

    def put_back(self, till: str) -> Gone:
        """Replace a till's disk by the copy that was kept, and declare what that loses."""
        ...

    def wipe(self, till: str) -> Gone:
        """Lose a till's disk, and declare what that loses."""
        ...

    def half_done(self, till: str) -> bool:
        """Say whether a till's disk is neither as the till left it nor as it was to be: it failed in between."""
        ...

    def provision(self, till: str) -> None:
        """Set a till up anew on an empty disk, as its technician does."""
        ...

    def reopen(self, till: str) -> None:
        """Wait until a till that was set up anew can sell, and open its day, as its cashier does."""
        ...

    def clone(self, till: str) -> str:
        """Copy a running till's disk into a second till of the same identity; return its node, not started."""
        ...

    def sell_at(self, node: str) -> None:
        """Let a cashier begin to sell at a second till."""
        ...

    def stop_selling_at(self, node: str) -> int:
        """Let nobody sell there any more; return how many sales it made."""
        ...
