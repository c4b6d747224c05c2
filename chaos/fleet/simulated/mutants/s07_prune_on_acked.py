"""S7: the till prunes what is acked, safe or not."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.uploader import Uploader
from syncref.core.uplink_messages import Prune


def prune(self: Uploader, effect: Prune) -> None:
    """Prune up to the acked mark."""
    if self.current:
        self.prune(self.state.acked)


MUTANT = Mutant(
    id="S7",
    title="prune on acked, not safe",
    fault="lag, retention 0",
    expected="receipts",
    profile=Profile(misfortunes={"lag": 2.0, "promote": 1.0}, retention_ms=0),
    swaps=[(Uploader, "_prune", prune)],
)
