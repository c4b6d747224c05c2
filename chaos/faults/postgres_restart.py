"""PostgreSQL restart: the server's database goes away under open connections and comes back."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.faults.base import Context
from chaos.faults.parameters import choice
from chaos.faults.restart import Restart


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresRestartParameters:
    """How it goes."""

    mode: str = choice(
        "fast",
        choices=("fast", "crash"),
        text="fast: as an administrator does it; crash: kill -9 of all its processes, then recovery",
    )


class PostgresRestart(Restart):
    """Takes a PostgreSQL node down and starts it again."""

    kind = "postgres_restart"
    aim = "database"
    parameters = PostgresRestartParameters

    def take_down(self, context: Context, node: str) -> int | None:
        """End the postmaster in the mode asked for."""
        if self.p.mode == "crash":
            return context.fleet.kill(node)
        return context.fleet.stop(node)
