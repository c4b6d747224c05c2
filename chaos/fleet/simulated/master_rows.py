"""Master rows with their versions and digests, as a till has them."""

from __future__ import annotations

from functools import lru_cache

from syncref.domain.masters import DIGEST_MODULUS, MASTER_BY_NAME, Row
from syncref.domain.masters import row_digest as slow_digest
from syncref.wire.sync import FeedRow

row_digest = lru_cache(maxsize=20_000)(slow_digest)  # ten tills take the same rows
KEY_LENGTH = {name: len(table.key) for name, table in MASTER_BY_NAME.items()}


class MasterRows:
    """Live rows by table and key.

    For the judge: `highest` has the highest version that each key has had in this term, deleted ones too,
    and `lowered` notes each key that went below it.
    """

    def __init__(self) -> None:
        self.highest: dict[tuple[str, Row], int] = {}
        self.lowered: list[tuple[str, Row]] = []
        self.tables: dict[str, dict[Row, tuple[Row, int]]] = {}
        self.digests: dict[str, int] = {}
        self.prices: dict[str, dict[int, tuple[int, int]]] = {}

    def whole_digests(self) -> dict[str, int]:
        """Return the digest of every table, of empty ones as well."""
        return {table: self.digests.get(table, 0) for table in KEY_LENGTH}

    def key_of(self, row: FeedRow) -> Row:
        """Return the key of a travelling row."""
        return row.row[: KEY_LENGTH[row.table]]

    def get(self, table: str, key: Row) -> tuple[Row, int] | None:
        """Return (row, version) of a key."""
        return self.tables.get(table, {}).get(key)

    def put(self, row: FeedRow) -> bool:
        """Take a row unless the one there has its version or a higher one; return whether it was taken."""
        key = self.key_of(row)
        rows = self.tables.setdefault(row.table, {})
        there = rows.get(key)
        if there is not None and not self.supersedes(row.version, there[1]):
            return False
        place = (row.table, key)
        if row.version < self.highest.get(place, 0):
            self.lowered.append(place)
        self.highest[place] = max(row.version, self.highest.get(place, 0))
        change = 0
        if there is not None:
            change -= row_digest(row.table, there[0], there[1])
        if row.deleted:
            self.remove(rows, key)
        else:
            rows[key] = (row.row, row.version)
            change += row_digest(row.table, row.row, row.version)
        self.digests[row.table] = (self.digests.get(row.table, 0) + change) % DIGEST_MODULUS
        if row.table == "price":
            self._index_price(row)
        return True

    def supersedes(self, version: int, present: int) -> bool:
        """Return whether a row of `version` takes the place of one of version `present`."""
        return version > present

    def remove(self, rows: dict[Row, tuple[Row, int]], key: Row) -> None:
        """Take a deleted row away."""
        rows.pop(key, None)

    def clear(self, table: str) -> None:
        """Take all rows of a table away."""
        self.tables[table] = {}
        self.digests[table] = 0
        self.highest = {place: version for place, version in self.highest.items() if place[0] != table}
        if table == "price":
            self.prices = {}

    def _index_price(self, row: FeedRow) -> None:
        sku, valid_from = str(row.row[0]), int(row.row[2] or 0)
        by_date = self.prices.setdefault(sku, {})
        if row.deleted:
            by_date.pop(valid_from, None)
        else:
            by_date[valid_from] = (int(row.row[3] or 0), row.version)
