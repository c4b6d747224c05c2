"""S35: a document is ok before the standby has it."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.server import ServerNode


def on_standbys(self: ServerNode, op_id: bytes) -> bool:
    """Never wait."""
    return True


MUTANT = Mutant(
    id="S35",
    title="document ok before the standby has it",
    fault="promotion with lag",
    expected="edits",
    profile=Profile(misfortunes={"lag": 3.0, "promote": 1.0}, edits=14, sales=2),
    swaps=[(ServerNode, "on_standbys", on_standbys)],
)
