"""S17: after a failure the till waits for its next sale."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import uplink
from syncref.core.step import Step, replace
from syncref.core.uplink_messages import Phase, SetTimer, UplinkOptions, UplinkState, UplinkStep, Wake

_back_off = uplink._back_off
_wake = uplink._wake


def back_off(state: UplinkState, draw: float, options: UplinkOptions, **named: object) -> UplinkStep:
    """Set no timer."""
    step = _back_off(state, draw, options, **named)  # type: ignore[arg-type]
    return Step(step.state, tuple(effect for effect in step.effects if not isinstance(effect, SetTimer)))


def wake(state: UplinkState, event: Wake, options: UplinkOptions) -> UplinkStep:
    """Try again with the next sale."""
    if state.phase is Phase.BACKOFF and event.head is not None and event.head != state.head:
        event = replace(event, now=True)
    return _wake(state, event, options)


MUTANT = Mutant(
    id="S17",
    title="retry waits for the next sale",
    fault="cut, then quiet",
    expected="drain",
    profile=Profile(misfortunes={"cut": 3.0, "black": 1.0}, sales=6),
    swaps=[(uplink, "_back_off", back_off), (uplink, "_HANDLERS", uplink._HANDLERS | {Wake: wake})],
)
