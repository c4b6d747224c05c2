"""What a step of a core returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

S = TypeVar("S")
E = TypeVar("E")

if TYPE_CHECKING:
    from dataclasses import replace as replace  # noqa: PLC0414  (exported, for mypy's sake)
else:

    def replace(state: S, /, **changes: Any) -> S:
        """Return a copy of a frozen slotted dataclass with some fields changed.

        As dataclasses.replace, and checked as that one is, at a fifth of its cost: cores do little else.
        """
        copier = _COPIERS.get(type(state)) or _copier(type(state))
        try:
            return copier(state, changes)
        except KeyError as error:
            raise TypeError(f"{type(state).__name__} has no {error.args[0]}") from None


_COPIERS: dict[type, Callable[[Any, dict[str, Any]], Any]] = {}


def _copier(kind: type) -> Callable[[Any, dict[str, Any]], Any]:
    """Make and remember the function that copies one class slot by slot; dataclasses makes __init__ so, too."""
    slots: tuple[str, ...] = kind.__slots__  # type: ignore[attr-defined]  # slotted dataclasses alone come here
    puts = {name: getattr(kind, name).__set__ for name in slots}
    known: dict[str, Any] = {f"put_{name}": put for name, put in puts.items()}
    known |= {"kind": kind, "puts": puts, "new": object.__new__}
    copies = [f"    put_{name}(copy, state.{name})" for name in slots]
    lines = [
        "def copier(state, changes):",
        "    copy = new(kind)",
        *copies,
        "    for name, value in changes.items():",
        "        puts[name](copy, value)",
        "    return copy",
    ]
    exec("\n".join(lines), known)  # noqa: S102  (made of the class's own slot names)
    made: Callable[[Any, dict[str, Any]], Any] = known["copier"]
    _COPIERS[kind] = made
    return made


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
