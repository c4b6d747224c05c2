"""S8: retention counts by the till's clock."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.uploader import Uploader
from syncref.core.uplink_messages import Prune


def prune(self: Uploader, effect: Prune) -> None:
    """Prune what is safe and old by this till's own clock."""
    if not self.current:
        return
    till = self.till
    upto = till.store.anchor.seq
    for _, _, entry in till.store.entries:
        if entry.at_ms > till.clock_ms() - till.world.retention_ms or upto >= effect.safe:
            break
        upto += 1
    self.prune(upto)


MUTANT = Mutant(
    id="S8",
    title="retention by the till's clock",
    fault="clock jump, then restore",
    expected="receipts",
    profile=Profile(misfortunes={"clock": 3.0, "restore": 2.0}, sales=40, tills=(1, 2), keepalive_ms=300),
    swaps=[(Uploader, "_prune", prune)],
)
