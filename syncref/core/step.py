"""What a step of a core returns."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from msgspec.structs import replace as replace  # noqa: PLC0414  (a core's step is a copy with some fields changed)

S = TypeVar("S")
E = TypeVar("E")


class Step(NamedTuple, Generic[S, E]):
    """The state after an event, and the effects that the shell carries out in this order.

    A persisting effect is the last of its step: what may only be sent or said once it is durable follows
    from the event that answers it.
    """

    state: S
    effects: tuple[E, ...]


def full_jitter_ms(*, attempt: int, draw: float, base_ms: int, max_ms: int) -> int:
    """Return a back-off delay: uniform between 0 and the doubled base, as `draw` in [0, 1) says.

    `attempt` counts failures from 1. Never less than one millisecond.
    """
    ceiling = min(max_ms, base_ms << min(attempt - 1, 20))
    return max(1, int(ceiling * draw))
