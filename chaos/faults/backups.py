"""What a fault asks of whoever knows how a server's database is backed up. All methods raise ChaosError."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What a restored database lacks of what it had: journal entries, and clerks' operations.

    `timeline` is the restored database's, `timeline_before` the one that it was backed up from.
    """

    entries: int
    edits: int
    timeline_before: int
    timeline: int


class ServerBackups(Protocol):
    """Backups of one server's database, which runs as node `postgres`.

    `users` are the nodes that use it, in the order in which they are stopped; they start the other way round.
    """

    @property
    def postgres(self) -> str: ...
    @property
    def users(self) -> tuple[str, ...]: ...

    def take(self) -> None:
        """Take a base backup of the running database."""

    def inventory(self) -> None:
        """Remember what the database holds, before it goes. Nobody writes to it any more."""

    def lay_back(self) -> None:
        """Replace the stopped database by the backup, to be started as a restored one."""

    def forgotten(self) -> Forgotten:
        """Return, and declare, what the restored database lacks of the inventory."""
