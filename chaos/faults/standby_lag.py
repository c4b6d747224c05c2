"""Standby lag: a standby goes on receiving and stops replaying, as under a long query or a slow disk.

What it has not replayed nobody sees there: a clerk's document is at risk, and no sale is safe, until it goes on.
"""

from __future__ import annotations

from functools import partial

from chaos.errors import ChaosError, FaultFailed
from chaos.faults.base import Bite, Context, Fault, Healed, together

PAUSED_S = 5.0
LOOK_S = 0.1


class StandbyLag(Fault):
    """Pauses the replay of a standby, by its server's node, and lets it go on."""

    kind = "standby_lag"
    aim = "database"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.asked: list[str] = []
        self.stood: dict[str, int] = {}
        self.behind: dict[str, int] = {}
        self.moved: set[str] = set()
        self.promoted: set[str] = set()
        self.let_go: set[str] = set()

    def obstacle(self, context: Context) -> str | None:
        """Every target must be a database that the plan names."""
        missing = [node for node in self.targets if node not in context.system.databases]
        return f"no database is planned for {', '.join(missing)}" if missing else None

    def inject(self, context: Context) -> None:
        """Pause, and wait until each replay stands still: the pause is only asked for by the call."""
        for node in self.targets:
            reading = context.witness.log_of(node)
            if reading is None or reading.replayed is None:
                raise FaultFailed(f"standby_lag: {node} is no standby that answers")
            self.asked.append(node)
            context.system.databases[node].execute("SELECT pg_wal_replay_pause()")
        for node in self.targets:
            if not context.wait_until(partial(self._stands, context, node), PAUSED_S, every_s=LOOK_S):
                raise FaultFailed(f"standby_lag: the replay of {node} was not paused within {PAUSED_S:g} s")

    def _stands(self, context: Context, node: str) -> bool:
        """Note where a paused replay is; say whether the look before found it there, too."""
        reading = context.witness.log_of(node)
        if reading is None or reading.replayed is None or not reading.paused:
            return False
        before, self.stood[node] = self.stood.get(node), reading.replayed
        return before == reading.replayed

    def observe(self, context: Context) -> None:
        """Look how much was received while the replay stood where it was paused; how it ended, if it did."""
        for node in self.stood:
            reading = context.witness.log_of(node)
            if reading is None or node in self.let_go:
                continue
            if reading.replayed is None:
                self.promoted.add(node)
            elif not reading.paused or reading.replayed != self.stood[node]:
                self.moved.add(node)
            elif reading.received is not None:
                self.behind[node] = max(self.behind.get(node, 0), reading.received - reading.replayed)

    def lift(self, context: Context) -> None:
        """Let the replay go on, of all before the first error is raised; a promoted database has none."""
        self.observe(context)
        errors = []
        for node in self.asked:
            try:
                self._resume(context, node)
            except ChaosError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def give_up(self, context: Context) -> tuple[str, ...]:
        """Tell the standbys that were not let go on."""
        return tuple(node for node in self.asked if node not in self.let_go)

    def _resume(self, context: Context, node: str) -> None:
        reading = context.witness.log_of(node)
        if reading is None:
            raise FaultFailed(f"standby_lag: {node} does not answer, so its replay can't be let go on")
        if reading.replayed is not None:
            context.system.databases[node].execute("SELECT pg_wal_replay_resume()")
        self.let_go.add(node)

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
        return together(self._of(node) for node in self.targets)

    def _of(self, node: str) -> Bite:
        behind = self.behind.get(node)
        if node in self.moved - self.promoted:  # a promotion replays the rest; a restart forgets the pause
            return Bite(bit=False, text=f"{node}: its replay went on before it was let go")
        if behind is None:
            return Bite(bit=None, text=f"{node}: could not be read while its replay stood still")
        if behind <= 0:
            return Bite(bit=False, text=f"{node}: received nothing that it did not replay")
        return Bite(bit=True, text=f"{node}: up to {behind} bytes received and not replayed")
