"""Parameters of faults: typed fields that know their unit and bounds, and the check of what a scenario gives.

Keeps: a parameter that is not understood is never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from chaos.errors import FaultInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One parameter as documentation and validators show it. `least` and `most` are inclusive."""

    name: str
    unit: str
    text: str
    default: int | str
    least: int | None
    most: int | None
    choices: tuple[str, ...]

    @property
    def allowed(self) -> str:
        """Return the allowed values in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        return f"a whole number of {self.unit} from {self.least} to {self.most}"


def whole(default: int, *, unit: str, least: int, most: int, text: str) -> Any:
    """Declare a whole-number parameter."""
    return field(default=default, metadata={"unit": unit, "least": least, "most": most, "text": text})


def choice(default: str, *, choices: Sequence[str], text: str) -> Any:
    """Declare a parameter with named values."""
    return field(default=default, metadata={"unit": "", "choices": tuple(choices), "text": text})


def described(parameters: type[Any]) -> list[Field]:
    """Return the parameters of a fault."""
    return [
        Field(
            name=one.name,
            unit=one.metadata["unit"],
            text=one.metadata["text"],
            default=default_of(one.default),
            least=one.metadata.get("least"),
            most=one.metadata.get("most"),
            choices=one.metadata.get("choices", ()),
        )
        for one in fields(parameters)
    ]


def default_of(value: object) -> int | str:
    """Return a declared default; whole() and choice() always give one."""
    assert isinstance(value, int | str)
    return value


def read(kind: str, parameters: type[Any], given: Mapping[str, object]) -> Any:
    """Return the parameters with what a scenario gives; raise FaultInvalid naming the key and what is allowed."""
    known = {one.name: one for one in described(parameters)}
    for name, value in given.items():
        if name not in known:
            there = ", ".join(known) or "none"
            raise FaultInvalid(f"fault {kind} has no parameter {name!r}; it has: {there}")
        check(kind, known[name], value)
    return parameters(**given)


def check(kind: str, known: Field, value: object) -> None:
    """Raise FaultInvalid unless a value is allowed."""
    if known.choices:
        fits = value in known.choices
    else:
        assert known.least is not None
        assert known.most is not None
        fits = isinstance(value, int) and not isinstance(value, bool) and known.least <= value <= known.most
    if not fits:
        raise FaultInvalid(f"fault {kind}: {known.name} = {value!r}: give {known.allowed}")
