"""Promotion: a standby is made the live server while the old one is well and tills are uploading.

The planned change: the old server is asked to stop, uploads under way end there or are refused, and every till
goes on at the new one from where that is.
"""

from __future__ import annotations

from chaos.errors import FaultFailed
from chaos.faults.base import Bite, Context, Fault, Healed

TERM_S = 30.0
UPLOADS_S = 2.0
LOOK_S = 0.1


class Promotion(Fault):
    """Runs the plan's command that promotes the target."""

    kind = "promotion"
    aim = "node"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.before: dict[str, str] = {}
        self.after: dict[str, str] = {}
        self.arrived = 0
        self.terms: tuple[int, int] = (0, 0)

    def obstacle(self, context: Context) -> str | None:
        """The plan must name a command that promotes each target."""
        missing = [node for node in self.targets if node not in context.system.promoters]
        return f"no command is planned that promotes {', '.join(missing)}" if missing else None

    def inject(self, context: Context) -> None:
        """Look that tills are uploading, promote, and wait until the target's term is open."""
        self.before = roles(context)
        begun = arrivals(context)
        context.sleep(UPLOADS_S)
        self.arrived = sum(max(0, seq - begun[till]) for till, seq in arrivals(context).items() if till in begun)
        first = self.targets[0]
        reading = context.witness.log_of(first)
        old = 0 if reading is None else reading.term_n
        context.fleet.start(context.system.promoters[first], wait=False)

        def live() -> bool:
            reading = context.witness.log_of(first)
            if reading is None or reading.role != "live":
                return False
            self.terms = (old, reading.term_n)
            return True

        if not context.wait_until(live, TERM_S, every_s=LOOK_S):
            raise FaultFailed(f"promotion: {first} was not live within {TERM_S:g} s")

    def observe(self, context: Context) -> None:
        """Note what the servers are now."""
        self.after = roles(context)

    def lift(self, context: Context) -> None:
        """Note it once more; a promotion is not undone."""
        self.observe(context)

    def verify(self, context: Context) -> Healed:
        """One server is live, by the databases."""
        live = [node for node, role in roles(context).items() if role == "live"]
        return Healed(ok=len(live) == 1, text=f"live: {', '.join(live) or 'none'}")

    def evidence(self, context: Context) -> Bite:
        """Entries were arriving before it, the target opened a higher term, and the old live server stopped."""
        old, new = self.terms
        first = self.targets[0]
        if new <= old:
            return Bite(bit=False, text=f"{first} opened no term over {old}")
        if self.before.get(first) != "standby":
            return Bite(bit=False, text=f"{first} was {self.before.get(first)}, not a standby")
        if self.arrived <= 0:
            return Bite(bit=False, text="no entry arrived in the two seconds before it")
        others = ", ".join(f"{node} {role}" for node, role in self.after.items() if node != first)
        return Bite(
            bit=True, text=f"{self.arrived} entries arrived just before; {first} live in term {new}, {others}"
        )


def roles(context: Context) -> dict[str, str]:
    """Return what each server is, by its database."""
    return {
        node: "silent" if (reading := context.witness.log_of(node)) is None else reading.role
        for node in context.system.databases
    }


def arrivals(context: Context) -> dict[str, int]:
    """Return how many entries of each till the live server holds, where that can be read."""
    servers = set(context.system.databases)
    tills = {link.till for link in context.fleet.links() if link.server in servers} - servers
    return {till: seq for till in tills if (seq := context.witness.server_seq(till)) is not None}
