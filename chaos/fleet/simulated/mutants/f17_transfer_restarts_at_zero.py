"""F17: whatever came before a transfer broke off is thrown away."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import downlink
from syncref.core.downlink_messages import (
    DownlinkOptions,
    DownlinkState,
    DownlinkStep,
    DownPhase,
    DropStage,
    Loading,
    TransportFailed,
)
from syncref.core.step import Step, replace

_transport_failed = downlink._transport_failed


def transport_failed(state: DownlinkState, event: TransportFailed, options: DownlinkOptions) -> DownlinkStep:
    """Begin the load, or the run, from its beginning."""
    step = _transport_failed(state, event, options)
    if step.state.phase is not DownPhase.BACKOFF:
        return step
    dropped = DropStage(run=None if step.state.run is None else step.state.run.id)
    loading = None if step.state.loading is None else Loading(tables=options.tables)
    return Step(replace(step.state, run=None, loading=loading), (dropped, *step.effects))


MUTANT = Mutant(
    id="F17",
    title="a transfer restarts at zero",
    fault="a line of a second's delay, cut every few seconds",
    expected="drain",
    profile=Profile(
        misfortunes={"bad_line": 1.0}, tills=(1, 1), sales=4, edits=4, page_rows=1, products=6, first_ms=10
    ),
    swaps=[(downlink, "_HANDLERS", downlink._HANDLERS | {TransportFailed: transport_failed})],
)
