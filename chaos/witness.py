"""What faults ask to learn whether they bit: facts from the databases and the cashiers, never from the system's
own status pages. Implemented where the databases are known; faults only know this protocol.

Every method answers from a fresh reading and returns None where it can't be had just now (the node is down, the
table is locked, nobody counted). None is never evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLog:
    """A server's database at one instant: its role and term, and how far its log is, in bytes.

    `written` is None on a standby; `received` and `replayed` are None on a primary.
    """

    role: str
    term_n: int
    written: int | None = None
    received: int | None = None
    replayed: int | None = None
    paused: bool = False


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

    def log_of(self, server: str) -> ServerLog | None:
        """Return what a server's database is and how far its log is."""
        ...

    def refusals(self, till: str, code: str) -> int | None:
        """Return how often the till has refused a cashier with this error code so far."""
        ...
