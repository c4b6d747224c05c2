"""R8: a transfer that did not get through begins again at zero, just as long as before."""

from __future__ import annotations

from typing import Any

from rehearsal.prove.planted import Planted
from syncref.core import uplink
from syncref.core.step import Step, replace
from syncref.core.uplink_messages import TransportFailed, UplinkEffect, UplinkOptions, UplinkState


def plant() -> None:
    """Never send less after a failure."""
    failed = uplink._HANDLERS[TransportFailed]

    def from_zero(state: UplinkState, event: Any, options: UplinkOptions) -> Step[UplinkState, UplinkEffect]:
        step = failed(state, event, options)
        return Step(replace(step.state, fitting=0), step.effects)

    uplink._HANDLERS[TransportFailed] = from_zero


PLANTED = Planted(
    id="R8",
    title="transfer restarts at zero",
    fault="slow line and cuts",
    expected="drain",
    scenario="slow-line",
    kinds=("till",),
    plant=plant,
)
