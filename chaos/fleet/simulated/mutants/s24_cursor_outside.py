"""S24: the cursor is stored in a transaction of its own, before the rows."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.receiver import Receiver
from syncref.core.downlink_messages import Apply


def write(self: Receiver, effect: Apply) -> None:
    """Store the cursor, then the rows."""
    self.till.store.write("cursor", effect)
    self.till.boundary("cursor")
    self.till.store.write("apply", effect)


MUTANT = Mutant(
    id="S24",
    title="cursor outside the apply transaction",
    fault="till kill",
    expected="masters",
    profile=Profile(misfortunes={"kill_till": 6.0}, edits=14, sales=2, tills=(1, 2)),
    swaps=[(Receiver, "write", write)],
)
