"""P8: tills of one image fight over one journal, and none of them goes on."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.uploader import Uploader
from syncref.core.uplink_messages import Rebase


def rebase(self: Uploader, effect: Rebase) -> None:
    """Wait for somebody to look at it."""


MUTANT = Mutant(
    id="P8",
    title="clones fight over one slot and stick",
    fault="cloned till",
    expected="drain",
    profile=Profile(misfortunes={"clone": 1.0}, tills=(1, 2), sales=14),
    swaps=[(Uploader, "_rebase", rebase)],
)
