"""S18: after some failures the till stops trying."""

from __future__ import annotations

from chaos.fleet.simulated.mutants import Mutant
from chaos.fleet.simulated.plan import Profile
from syncref.core import uplink
from syncref.core.step import Step
from syncref.core.uplink_messages import SetTimer, UplinkOptions, UplinkState, UplinkStep

_back_off = uplink._back_off
TRIES_MAX = 4


def back_off(state: UplinkState, draw: float, options: UplinkOptions, **named: object) -> UplinkStep:
    """Set no timer after the last try."""
    step = _back_off(state, draw, options, **named)  # type: ignore[arg-type]
    if step.state.attempt < TRIES_MAX:
        return step
    return Step(step.state, tuple(effect for effect in step.effects if not isinstance(effect, SetTimer)))


MUTANT = Mutant(
    id="S18",
    title="gives up after n tries",
    fault="long cut",
    expected="drain",
    profile=Profile(misfortunes={"cut": 3.0, "black": 2.0}, sales=6),
    swaps=[(uplink, "_back_off", back_off)],
)
