"""S22: a till checkpoints at the end of each round, inside a compacted run."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import downlink
from syncref.core.downlink_messages import Apply, DownlinkState, DownlinkStep, DownPhase
from syncref.core.step import Step, replace
from syncref.domain.identity import Cursor

_take = downlink._take


def take(state: DownlinkState) -> DownlinkStep:
    """Apply what is there when a round ends."""
    page, run = state.page, state.run
    assert page is not None
    assert run is not None
    if page.last or page.after is not None:
        return _take(state)
    apply = Apply(
        run=run,
        rows=page.rows,
        expected=state.cursor,
        cursor=Cursor(term=run.term, pos=page.pos),
        urgent_pos=state.urgent_pos,
        digests=(),
        stock_seq=page.stock_seq,
        generation=state.generation,
    )
    return Step(replace(state, phase=DownPhase.APPLYING), (apply,))


MUTANT = Mutant(
    id="S22",
    title="checkpoint inside a compacted run",
    fault="concurrent edits",
    expected="documents",
    profile=Profile(misfortunes={"cut": 1.0, "noise": 2.0}, edits=30, sales=4, page_rows=1, edit_kinds=("pair",)),
    swaps=[(downlink, "_take", take)],
)
