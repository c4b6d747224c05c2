"""Standby lag: a standby goes on receiving and stops replaying, as under a long query or a slow disk.

What it has not replayed nobody sees there: a clerk's document is at risk, and no sale is safe, until it goes on.
"""

from __future__ import annotations

from chaos.errors import FaultFailed
from chaos.faults.base import Bite, Context, Fault, Healed


class StandbyLag(Fault):
    """Pauses the replay of a standby, by its server's node, and lets it go on."""

    kind = "standby_lag"
    aim = "database"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.replayed: dict[str, int] = {}
        self.behind: dict[str, int] = {}
        self.moved: set[str] = set()

    def obstacle(self, context: Context) -> str | None:
        """Every target must be a database that the plan names."""
        missing = [node for node in self.targets if node not in context.system.databases]
        return f"no database is planned for {', '.join(missing)}" if missing else None

    def inject(self, context: Context) -> None:
        """Pause, and note how far each has replayed."""
        for node in self.targets:
            reading = context.witness.log_of(node)
            if reading is None or reading.replayed is None:
                raise FaultFailed(f"standby_lag: {node} is no standby that answers")
            context.system.databases[node].execute("SELECT pg_wal_replay_pause()")
        context.sleep(0.2)
        for node in self.targets:
            reading = context.witness.log_of(node)
            if reading is not None and reading.replayed is not None:
                self.replayed[node] = reading.replayed

    def observe(self, context: Context) -> None:
        """Look how much was received and not replayed."""
        for node in self.targets:
            reading = context.witness.log_of(node)
            if reading is None or reading.replayed is None or reading.received is None:
                continue
            if reading.replayed != self.replayed.get(node):
                self.moved.add(node)
            self.behind[node] = max(self.behind.get(node, 0), reading.received - reading.replayed)

    def lift(self, context: Context) -> None:
        """Let the replay go on; a database that was promoted meanwhile has none."""
        self.observe(context)
        for node in self.targets:
            reading = context.witness.log_of(node)
            if reading is not None and reading.replayed is not None:
                context.system.databases[node].execute("SELECT pg_wal_replay_resume()")

    def verify(self, context: Context) -> Healed:
        """No replay is paused, by the databases' own word."""
        for node in self.targets:
            reading = context.witness.log_of(node)
            if reading is None:
                return Healed(ok=False, text=f"{node} does not answer")
            if reading.paused:
                return Healed(ok=False, text=f"{node}: the replay is still paused")
        return Healed(ok=True, text=f"{', '.join(self.targets)}: the replay goes on, or is over by a promotion")

    def evidence(self, context: Context) -> Bite:
        """Each standby received what it did not replay, and replayed nothing, until it was let go or promoted."""
        texts = []
        for node in self.targets:
            behind = self.behind.get(node)
            if behind is None:
                return Bite(bit=None, text=f"{node}: could not be read")
            if behind <= 0:
                return Bite(bit=False, text=f"{node}: received nothing that it did not replay")
            texts.append(f"{node}: up to {behind} bytes received and not replayed")
        return Bite(bit=True, text="; ".join(texts))
