"""F10: a closing entry that was not stored leaves the shift neither open nor closed."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import journal
from syncref.core.journal_messages import CommitFailed, JournalState, JournalStep, Mode
from syncref.core.step import Step, replace

_failed = journal._failed


def failed(state: JournalState, event: CommitFailed) -> JournalStep:
    """Stay in the middle of the closing."""
    closing = state.pending is not None and state.pending.kind == "close"
    step = _failed(state, event)
    return Step(replace(step.state, mode=Mode.FROZEN), step.effects) if closing and event.definite else step


MUTANT = Mutant(
    id="F10",
    title="a failed close deadlocks the shift",
    fault="till's disk full at the close",
    expected="settlement",
    profile=Profile(misfortunes={"close_midway": 4.0, "disk_full_till": 6.0}, sales=10),
    swaps=[(journal, "_failed", failed)],
)
