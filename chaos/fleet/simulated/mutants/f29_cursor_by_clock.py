"""F29: a till's cursor is as far ahead as its clock is fast; nobody compares."""

from __future__ import annotations

from typing import Any

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.receiver import Receiver
from chaos.fleet.simulated.till_store import TillStore
from syncref.core.downlink_messages import Apply
from syncref.core.step import replace

_write = Receiver.write
MS_PER_POSITION = 60_000


def write(self: Receiver, effect: Apply) -> None:
    """Move the cursor by the clock."""
    ahead = max(0, self.till.offset_ms) // MS_PER_POSITION
    cursor = replace(effect.cursor, pos=effect.cursor.pos + ahead)
    _write(self, replace(effect, cursor=cursor))


def mismatched(self: TillStore, effect: Any) -> tuple[str, ...]:
    """Find nothing wrong."""
    return ()


MUTANT = Mutant(
    id="F29",
    title="a fast clock skips rows for ever",
    fault="clock jump",
    expected="masters",
    profile=Profile(misfortunes={"clock": 4.0}, sales=4, edits=24, edit_kinds=("price", "pair")),
    swaps=[(Receiver, "write", write), (TillStore, "mismatched", mismatched)],
)
