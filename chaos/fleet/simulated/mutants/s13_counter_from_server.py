"""S13: a new image numbers its receipts on from what the server has of the till."""

from __future__ import annotations

from chaos.fleet.simulated.misfortunes import machines
from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.till import TillNode
from chaos.fleet.simulated.world import World
from syncref.core.step import replace
from syncref.domain import identity

_reprovision = machines.reprovision


def short_number(incarnation: bytes) -> str:
    """Number without the incarnation."""
    return "00000"


def reprovision(world: World, till: TillNode) -> None:
    """Continue the till's numbers as the server knows them."""
    _reprovision(world, till)
    counters = [
        row.receipt.counter
        for server in world.servers
        for key, held in server.store.journals.items()
        if key.till == till.key.till
        for row in held.receipts
    ]
    till.store.journal = replace(till.store.journal, counter=max(counters, default=0))


MUTANT = Mutant(
    id="S13",
    title="counter from the server at re-image",
    fault="re-image offline",
    expected="receipts",
    profile=Profile(misfortunes={"reimage": 1.0, "black": 3.0, "cut": 2.0}, tills=(1, 2), sales=12),
    swaps=[
        (identity, "short_number", short_number),
        (machines, "reprovision", reprovision),
    ],
)
