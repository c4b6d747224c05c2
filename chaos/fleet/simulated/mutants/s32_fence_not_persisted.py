"""S32: a fence is answered and forgotten at the next restart."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.server import ServerNode


def persist_fence(self: ServerNode, by: int) -> None:
    """Keep nothing."""


MUTANT = Mutant(
    id="S32",
    title="fence not persisted",
    fault="old live server restarts",
    expected="failover",
    profile=Profile(misfortunes={"old_server_alone": 1.0}, sales=14),
    swaps=[(ServerNode, "persist_fence", persist_fence)],
)
