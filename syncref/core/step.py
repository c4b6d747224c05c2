"""What a step of a core returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

S = TypeVar("S")
E = TypeVar("E")

if TYPE_CHECKING:
    from dataclasses import replace as replace  # noqa: PLC0414  (exported, for mypy's sake)
else:

    def replace(state: S, /, **changes: Any) -> S:
        """Return a copy of a frozen slotted dataclass with some fields changed.

        As dataclasses.replace, and checked as that one is, at a third of its cost: cores do little else.
        """
        copy = object.__new__(type(state))
        put = object.__setattr__
        for name in state.__slots__:
            put(copy, name, changes.pop(name) if name in changes else getattr(state, name))
        if changes:
            raise TypeError(f"{type(state).__name__} has no {', '.join(changes)}")
        return copy


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
