"""One line of the proof as values: the bug, what must convict it, and what came of it.

Keeps: a row that did not run, or of which nothing could be told, is never counted as caught.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from rehearsal.model import EXIT_COULD_NOT_RUN

NO_GO = 10
INCONCLUSIVE = 20


class Caught(StrEnum):
    """What came of a row. WRONG: something convicted, and never what must. UNTOLD: the judge withheld.

    A scenario without a bug is GO or NOT GO.
    """

    CAUGHT = "caught"
    ESCAPED = "ESCAPED"
    WRONG = "WRONG CHECKER"
    UNTOLD = "untold"
    NOT_RUN = "not run"
    GO = "GO"
    NOT_GO = "NOT GO"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A planted bug, or a scenario that must be GO without one. `expected`: the checker, or what must be said."""

    id: str
    title: str
    fault: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a row. `convicted`: the checkers that answered, the expected one among them or not.

    `seed` repeats it; `ran` is how, in words a user can type; `note` says what else there is to know.
    `late`: nothing is wrong but durations, which may be due to what ran beside it.
    """

    row: Row
    caught: Caught
    convicted: tuple[str, ...] = ()
    seed: int | None = None
    seconds: float = 0.0
    note: str = ""
    ran: str = ""
    late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Rows that are proved in one way. `prove` yields a result for each as soon as it is known."""

    name: str
    rows: tuple[Row, ...]
    prove: Callable[[tuple[Row, ...]], Iterable[Result]] = field(repr=False)

    def only(self, wanted: frozenset[str]) -> Part:
        """Return the part with the wanted rows alone: by name, or by the letter of a kind; none wanted: all."""
        kept = tuple(row for row in self.rows if not wanted or wanted & names_of(row))
        return Part(name=self.name, rows=kept, prove=self.prove)


def names_of(row: Row) -> frozenset[str]:
    """Return what a row may be asked for by, in capitals: S7, and S for all of its kind."""
    letter = row.id.rstrip("0123456789")
    return frozenset({row.id.upper(), letter.upper()} if letter != row.id else {row.id.upper()})


def exit_code(results: Iterable[Result]) -> int:
    """Return 0 when all are as they must be; 10 when one is not; 30 when one did not run; 20 when untold."""
    found = {result.caught for result in results}
    if found & {Caught.ESCAPED, Caught.WRONG, Caught.NOT_GO}:
        return NO_GO
    if Caught.NOT_RUN in found or not found:
        return EXIT_COULD_NOT_RUN
    return INCONCLUSIVE if Caught.UNTOLD in found else 0


def judged(expected: str, convicted: tuple[str, ...]) -> Caught:
    """Return what a conviction is worth: the expected checker must be among those that convicted."""
    if expected in convicted:
        return Caught.CAUGHT
    return Caught.WRONG if convicted else Caught.ESCAPED
