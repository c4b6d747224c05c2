"""Kill promoting: whoever promotes a standby dies in the middle, when the database has begun and no term is open.

What is left behind takes writes as far as PostgreSQL is concerned. Nothing may be taken before somebody has
finished the promotion.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from chaos.faults.base import Bite, Context
from chaos.faults.onnode import NodeFault, start_again
from chaos.faults.parameters import whole

LOOK_S = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class KillPromotingParameters:
    """How long a promotion is waited for."""

    within_s: int = whole(30, unit="s", least=1, most=300, text="a promotion is waited for at most so long")


class KillPromoting(NodeFault):
    """Waits until a target's database is being promoted, kills the target, and starts it again at the end."""

    kind = "kill_promoting"
    parameters = KillPromotingParameters

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.status: dict[str, int | None] = {}
        self.left = ""

    def obstacle(self, context: Context) -> str | None:
        """The first target's database must be one that the plan names."""
        first = self.targets[0]
        if first not in context.system.databases:
            return f"no database is planned for {first}"
        return super().obstacle(context)

    def inject(self, context: Context) -> None:
        """Look again and again for a promotion of the first target's database; kill all targets in it."""
        database = context.system.databases[self.targets[0]]
        if not context.wait_until(lambda: database.busy_with("pg_promote"), self.p.within_s, every_s=LOOK_S):
            return
        for node in self.targets:
            self.status[node] = context.fleet.kill(node)
        reading = context.witness.log_of(self.targets[0])
        self.left = "silent" if reading is None else reading.role

    def observe(self, context: Context) -> None:
        """Remember that the promotion was left half done; the first word of a silent database counts."""
        reading = context.witness.log_of(self.targets[0])
        if reading is not None and (self.left == "silent" or reading.role == "promoting"):
            self.left = reading.role

    def lift(self, context: Context) -> None:
        """Start what was killed."""
        start_again(context, reversed(self.targets))

    def evidence(self, context: Context) -> Bite:
        """The targets died of the signal while the database was being promoted, before a term was open."""
        if not self.status:
            return Bite(bit=False, text=f"nobody promoted {self.targets[0]} within {self.p.within_s} s")
        odd = [node for node, status in self.status.items() if status != -signal.SIGKILL]
        if odd:
            return Bite(bit=False, text=f"{', '.join(odd)} did not die of the signal")
        killed = ", ".join(self.status)
        if self.left == "live":
            return Bite(bit=False, text=f"{killed} killed too late: the term was open already")
        if self.left == "silent":
            return Bite(bit=None, text=f"{killed} killed; how far the promotion was could not be read")
        return Bite(bit=True, text=f"{killed} killed in the middle of a promotion, which left it {self.left}")
