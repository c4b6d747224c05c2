"""F32: after an error of the server the upload halts until the till is started anew."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import uplink
from syncref.core.step import Step, replace
from syncref.core.uplink_messages import Phase, Refused, UplinkOptions, UplinkState, UplinkStep

_refused = uplink._refused


def refused(state: UplinkState, event: Refused, options: UplinkOptions) -> UplinkStep:
    """Wait for somebody to look at it."""
    if event.code == "storage_failed" and event.request == state.request:
        return Step(replace(state, phase=Phase.FORKED, probe=None, session=None, inflight=None), ())
    return _refused(state, event, options)


MUTANT = Mutant(
    id="F32",
    title="an error halts the sync after its cause is gone",
    fault="server disk full",
    expected="drain",
    profile=Profile(misfortunes={"disk_full_server": 3.0}, sales=14),
    swaps=[(uplink, "_HANDLERS", uplink._HANDLERS | {Refused: refused})],
)
