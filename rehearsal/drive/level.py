"""How far everybody is at one moment: each till with its journal, and the server with that of each till.

Keeps: what could not be read is told apart from nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from chaos.errors import ChaosError
from rehearsal.evidence.databases import WitnessUnreadable
from rehearsal.witness import ServerMark, TillMark, Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How far each till was, and the server with its present journal; who can't be read now is left out.

    `term_n` is that of the server that was read, None: none could be.
    """

    marks: dict[str, TillMark]
    durable: dict[str, int]
    term_n: int | None

    def behind(self, till: str, start: Level) -> bool:
        """Say whether the server lacks what a till had at the start, or has in a journal that it began since.

        A till is behind until it, and the server, could be read.
        """
        now, then, there = self.marks.get(till), start.marks.get(till), self.durable.get(till)
        if now is None or then is None or there is None:
            return True
        return there < (then.head if now.incarnation == then.incarnation else now.head)

    def came(self, till: str, start: Level) -> int | None:
        """Return how many entries of a till's reached the server since the start; None: it can't be told.

        Two servers' figures are not compared, nor those of two journals.
        """
        now, then = self.marks.get(till), start.marks.get(till)
        if till not in self.durable or till not in start.durable or now is None or then is None:
            return None
        if (self.term_n, now.incarnation) != (start.term_n, then.incarnation):
            return None
        return self.durable[till] - start.durable[till]


def read_level(witness: Witness, tills: Iterable[str]) -> Level:
    """Read how far everybody is; a database that can't be read now leaves out what it would tell."""
    marks: dict[str, TillMark] = {}
    durable: dict[str, int] = {}
    server: ServerMark | None = None
    with suppress(WitnessUnreadable, ChaosError):
        server = witness.server()
    for till in tills:
        with suppress(WitnessUnreadable, ChaosError):
            marks[till] = mark = witness.till(till)
            if server is not None:
                durable[till] = server.durable.get((till, mark.incarnation), 0)
    return Level(marks=marks, durable=durable, term_n=None if server is None else server.term_n)
