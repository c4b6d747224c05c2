"""What faults ask to learn whether they bit: facts from the databases and the cashiers, never from the system's
own status pages. Implemented where the databases are known; faults only know this protocol.

Every method answers from a fresh reading and returns None where it can't be had just now (the node is down, the
table is locked, nobody counted). None is never evidence.
"""

from __future__ import annotations

from typing import Protocol


class Witness(Protocol):
    """Readings by till name. A seq is a position in the till's journal, counted from 1; 0 is empty."""

    def server_seq(self, till: str) -> int | None:
        """Return the last seq that the server holds durably from the till's present incarnation."""
        ...

    def till_head(self, till: str) -> int | None:
        """Return the last seq in the till's own journal."""
        ...

    def till_acked(self, till: str) -> int | None:
        """Return the last seq that the till knows to be on the server."""
        ...

    def till_reachable(self, till: str) -> bool:
        """Tell whether the till answers cashiers now."""
        ...

    def till_last_sale_ms(self, till: str) -> int | None:
        """Return the time that the till's clock gave its latest receipt, epoch ms."""
        ...

    def refusals(self, till: str, code: str) -> int | None:
        """Return how often the till has refused a cashier with this error code so far."""
        ...
