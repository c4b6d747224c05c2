"""A model of the server's masters: edits raise versions, pages and digests follow as the protocol says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from syncref.core.downlink_messages import Apply, Run
from syncref.domain.identity import Cursor, Term
from syncref.domain.masters import MASTERS, Row, row_digest
from syncref.wire.sync import FeedRow

TERM = Term(cluster="lab", n=1, id=bytes(16))
Place = tuple[str, Row]


@dataclass
class HeadOffice:
    """Rows by table and key, each with its version; None in place of a row is a tombstone."""

    rows: dict[Place, tuple[Row | None, int]] = field(default_factory=dict)
    changes: list[Place] = field(default_factory=list)

    def put(self, table: str, *row: str | int) -> FeedRow:
        """Write a row."""
        return self._write(table, row, row)

    def delete(self, table: str, *key: str | int) -> FeedRow:
        """Delete a row."""
        return self._write(table, key, None)

    def _write(self, table: str, row: Row, value: Row | None) -> FeedRow:
        keys = next(len(spec.key) for spec in MASTERS if spec.name == table)
        place = (table, row[:keys])
        version = self.rows.get(place, (None, 0))[1] + 1
        self.rows[place] = (value, version)
        self.changes.append(place)
        return self.row(place)

    @property
    def pos(self) -> int:
        """The position after all that was edited."""
        return len(self.changes) + 1

    def row(self, place: Place) -> FeedRow:
        """Return a row as it travels."""
        value, version = self.rows[place]
        return FeedRow(
            table=place[0], row=place[1] if value is None else value, version=version, deleted=value is None
        )

    def since(self, pos: int) -> list[FeedRow]:
        """Return the rows that changed from a position on, in the order in which pages bring them."""
        places = set(self.changes[max(0, pos - 1) :])
        return [self.row(place) for place in sorted(places, key=lambda p: (p[0], json.dumps(p[1])))]

    def live(self, table: str) -> dict[Row, tuple[Row, int]]:
        """Return a table's live rows by key."""
        return {
            key: (value, version)
            for (name, key), (value, version) in self.rows.items()
            if name == table and value is not None
        }

    def digests(self) -> tuple[tuple[str, int], ...]:
        """Return the digest of every table."""
        return tuple(
            (
                spec.name,
                sum(row_digest(spec.name, row, version) for row, version in self.live(spec.name).values()) % 2**64,
            )
            for spec in MASTERS
        )

    def end_of(self, run: Run, rows: list[FeedRow], *, expected: Cursor | None, urgent_pos: int = 0) -> Apply:
        """Return the apply that ends a run here and now."""
        return Apply(
            run=run,
            rows=tuple(rows),
            expected=expected,
            cursor=Cursor(term=run.term, pos=self.pos),
            urgent_pos=urgent_pos,
            digests=self.digests(),
            stock_seq=0,
        )
