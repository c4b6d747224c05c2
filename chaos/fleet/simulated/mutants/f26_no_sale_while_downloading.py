"""F26: a till that has downloads pending can't go on offline."""

from __future__ import annotations

from collections.abc import Callable

from chaos.fleet.simulated.asking import Operation, Told
from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.till import TillNode

_ask = TillNode._ask


def ask(self: TillNode, operation: Operation, reply: Callable[[Told], None]) -> None:
    """Wait for the rest of the download."""
    if self.store.loaded and self.store.run is not None:
        reply(Told(ok=False, code="not_loaded"))
        return
    _ask(self, operation, reply)


MUTANT = Mutant(
    id="F26",
    title="pending downloads forbid the offline switch",
    fault="ten tills, cut in mid-download",
    expected="experience",
    profile=Profile(
        misfortunes={"cut": 6.0, "black": 4.0, "noise": 2.0}, tills=(10, 10), sales=8, edits=20, page_rows=1
    ),
    swaps=[(TillNode, "_ask", ask)],
)
