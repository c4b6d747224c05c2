"""P2: a restored server goes on in the same term, so positions that tills have seen name other changes."""

from __future__ import annotations

from typing import Any

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from chaos.fleet.simulated.scene import Scene
from chaos.fleet.simulated.till_store import TillStore


def next_timeline(self: Scene) -> int:
    """Restore as if nothing had happened."""
    return 1


def mismatched(self: TillStore, effect: Any) -> tuple[str, ...]:
    """Find nothing wrong: the batch numbers were loaded already."""
    return ()


MUTANT = Mutant(
    id="P2",
    title="numbers reused after a restore: skipped as loaded",
    fault="restore, then price changes",
    expected="masters",
    profile=Profile(misfortunes={"restore": 1.0}, sales=0, edits=24, edit_kinds=("price", "pair")),
    swaps=[(Scene, "next_timeline", next_timeline), (TillStore, "mismatched", mismatched)],
)
