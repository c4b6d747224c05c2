"""In which order blocks run: ABBA, so that a drift of the machine falls on both sides alike.

A unit is four blocks of two pairs, base head head base, and a pair of the base against its own copy, whose
sides change places from unit to unit. A pair's blocks run at once, and its first takes the first round.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

PAIRS_PER_UNIT = 2


class Side(StrEnum):
    """Whose block it is. `AGAIN` is the base once more, from a worktree and environment of its own."""

    BASE = "base"
    HEAD = "head"
    AGAIN = "base again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two neighbouring blocks in their order; `control` when both are of the base."""

    first: Side
    second: Side

    @property
    def control(self) -> bool:
        """Whether it compares the base with itself."""
        return Side.HEAD not in (self.first, self.second)


def unit(number: int) -> tuple[Pair, Pair, Pair]:
    """Return the pairs of a unit, numbered from 0."""
    first, second = (Side.BASE, Side.AGAIN) if number % 2 == 0 else (Side.AGAIN, Side.BASE)
    return (
        Pair(first=Side.BASE, second=Side.HEAD),
        Pair(first=Side.HEAD, second=Side.BASE),
        Pair(first=first, second=second),
    )


def units() -> Iterator[tuple[Pair, Pair, Pair]]:
    """Yield units for ever."""
    number = 0
    while True:
        yield unit(number)
        number += 1
