"""A TOML table being read: every value is asked for once, and what is wrong or left over is collected.

All problems of a file are reported together, each with its line, its key and what is allowed.
"""

from __future__ import annotations

import difflib
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rehearsal.plan.lines import Path, line_of

T = TypeVar("T")
N = TypeVar("N", int, float)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")
FLOAT_MAX = sys.float_info.max
LONGEST = 60  # of a value in a message
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def closest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for a near miss, else nothing."""
    near = difflib.get_close_matches(str(word), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def shown(value: object) -> str:
    """Return a value as a message names it, on one line and cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than some thousand digits
        text = "a number of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


@dataclass(slots=True)
class Problems:
    """What is wrong with a file so far."""

    source: str
    lines: dict[Path, int]
    found: list[str] = field(default_factory=list)

    def add(self, path: Path, message: str) -> None:
        """Note a problem at a key."""
        name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        line = line_of(self.lines, path)
        place = f"{self.source}, line {line}" if line else self.source
        self.found.append(f"{place}: {name}: {message}" if name else f"{place}: {message}")


class TableReader:
    """One table. Getters return the default after noting a problem, so that reading goes on."""

    def __init__(self, data: dict[str, Any], path: Path, problems: Problems) -> None:
        self._data = data
        self.path = path
        self.problems = problems
        self._asked: set[str] = set()

    def wrong(self, key: str, message: str) -> None:
        """Note a problem with one of this table's keys."""
        self.problems.add((*self.path, key), message)

    def has(self, key: str) -> bool:
        """Say whether the key is there; it counts as known either way."""
        self._asked.add(key)
        return key in self._data

    def raw(self, key: str) -> Any:
        """Return a value unchecked, None when absent."""
        self._asked.add(key)
        return self._data.get(key)

    def text(self, key: str, default: str | None = None, *, choices: Sequence[str] | None = None) -> str:
        """Return a string; without a default the key is needed."""
        value: str = self._typed(key, str, "a string", default)
        if choices is not None and key in self._data and value not in choices:
            self.wrong(
                key, f"{shown(value)} is not allowed; allowed: {', '.join(choices)}{closest(value, choices)}"
            )
        return value

    def integer(self, key: str, default: int | None = None, *, low: int, high: int) -> int:
        """Return a whole number within bounds."""
        value: int = self._typed(key, int, "a whole number", default)
        return self._within(key, value, low, high, default)

    def number(self, key: str, default: float | None = None, *, low: float, high: float) -> float:
        """Return a number within bounds."""
        value = self._typed(key, (int, float), "a number", default)
        return float(self._within(key, value, low, high, default))

    def switch(self, key: str, default: bool) -> bool:
        """Return true or false."""
        self._asked.add(key)
        value = self._data.get(key, default)
        if not isinstance(value, bool):
            self.wrong(key, f"{shown(value)} is not true or false")
            return default
        return value

    def seconds(self, key: str, default: float | None = None, *, low: float = 0.0, high: float = 86_400) -> float:
        """Return a duration such as "90s", "500ms" or 1.5 (seconds) in seconds."""
        self._asked.add(key)
        if key not in self._data:
            return self._absent(key, default, 0.0)
        value = parse_seconds(self._data[key])
        if value is None:
            self.wrong(key, f'{shown(self._data[key])} is not a duration; write "90s", "500ms", "2m" or seconds')
            return default or 0.0
        return self._within(key, value, low, high, default)

    def strings(
        self, key: str, default: Sequence[str] = (), *, choices: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        """Return a list of strings."""
        self._asked.add(key)
        value = self._data.get(key, list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.wrong(key, f"{shown(value)} is not a list of strings")
            return tuple(default)
        for item in value:
            if choices is not None and item not in choices:
                self.wrong(
                    key, f"{shown(item)} is not allowed; allowed: {', '.join(choices)}{closest(item, choices)}"
                )
        return tuple(value)

    def table(self, key: str) -> TableReader:
        """Return a sub-table, empty when absent."""
        self._asked.add(key)
        value = self._data.get(key, {})
        if not isinstance(value, dict):
            self.wrong(key, f"{shown(value)} is not a table; write [{key}]")
            value = {}
        return TableReader(value, (*self.path, key), self.problems)

    def tables(self, key: str) -> Iterator[TableReader]:
        """Yield the tables of an array of tables."""
        self._asked.add(key)
        value = self._data.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.wrong(key, f"not an array of tables; write [[{key}]]")
            return
        for index, item in enumerate(value):
            yield TableReader(item, (*self.path, key, index), self.problems)

    def rest(self) -> dict[str, Any]:
        """Return what was not asked for yet, and count it as asked."""
        left = {key: value for key, value in self._data.items() if key not in self._asked}
        self._asked.update(left)
        return left

    def done(self) -> None:
        """Note every key that nobody asked for."""
        for key in self._data:
            if key not in self._asked:
                known = sorted(self._asked)
                self.wrong(key, f"unknown key; known here: {', '.join(known)}{closest(key, known)}")

    def _absent(self, key: str, default: T | None, empty: T) -> T:
        if default is None:
            self.problems.add(self.path, f"{key} is missing")
            return empty
        return default

    def _typed(self, key: str, kind: Any, what: str, default: Any) -> Any:
        self._asked.add(key)
        first = kind[0] if isinstance(kind, tuple) else kind
        if key not in self._data:
            return self._absent(key, default, first())
        value = self._data[key]
        if isinstance(value, bool) or not isinstance(value, kind):
            self.wrong(key, f"{shown(value)} is not {what}")
            return first() if default is None else default
        return value

    def _within(self, key: str, value: N, low: float, high: float, default: N | None) -> N:
        if key in self._data and not low <= value <= high:
            given = shown(value) if isinstance(value, int) and abs(value) > FLOAT_MAX else f"{value:g}"
            self.wrong(key, f"{given} is out of range; allowed: {low:g} to {high:g}")
            return type(value)(low) if default is None else default
        return value


def parse_seconds(value: object) -> float | None:
    """Return a duration in seconds, None when it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if not abs(value) > FLOAT_MAX else math.inf
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match[1]) * _SECONDS[match[2]] if match else None
