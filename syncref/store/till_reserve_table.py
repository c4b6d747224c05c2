"""The reserve of a till on PostgreSQL: tables of filler, dropped one after another when the disk is full.

The till sees of PostgreSQL's disk only whether something still fits. To drop a table needs no new page, to empty
it does, so there are several small ones instead of a large one. They are unlogged: filling them writes no log, and
should PostgreSQL itself stop for want of a log segment (16 MB), its recovery empties them before anything else and
has the room to come back by itself.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from syncref.errors import DiskFull, SyncrefError
from syncref.store.till_open import TillDatabase
from syncref.store.till_reserve import FileReserve, Reserve, Room

PARTS = 4
PART_BYTES = 8 * 1024 * 1024
_PAGE_BYTES = 8192
_ROW_BYTES = 7900  # one to a page
_STEP_PAGES = 128
_PROBE = PARTS + 1


class TableReserve:
    """`reserve_1` to `reserve_4`. That one more fits shows that there is room beside them."""

    def __init__(self, database: TillDatabase, *, part_bytes: int = PART_BYTES) -> None:
        self._database = database
        self._pages = max(1, part_bytes // _PAGE_BYTES)
        self._left = 0
        self.full_seen = False

    def fill(self) -> bool:
        """Set aside what is missing, if one part more than that would fit; return whether the reserve is there."""
        made: list[int] = []
        try:
            missing = [part for part in range(1, PARTS + 1) if self._size(part) < self._pages * _PAGE_BYTES]
            for part in [*missing, _PROBE] if missing or self.full_seen else []:
                made.append(part)
                self._make(part)
            for part in made[-1:]:
                self._drop(part)
        except DiskFull:
            for part in made:
                self._drop(part)
            self._left = self._count()
            return False
        self._left = PARTS
        self.full_seen = False
        return True

    def release(self) -> bool:
        """Give a part to the sales; return whether there was one to give."""
        self.full_seen = True
        try:
            held = [part for part in range(1, PARTS + 1) if self._size(part)]
            if held:
                self._drop(held[-1])
        except SyncrefError:
            return False
        self._left = max(0, len(held) - 1)
        return bool(held)

    def room(self) -> Room:
        """Return what must stop by now. Before something did not fit nobody knows, so nothing does."""
        if not self.full_seen:
            return "ok"
        return "no_downloads" if self._left else "reserve_used"

    def refused(self) -> None:
        """Take note that the sync's own writing did not fit: downloads stop, and what is left is for sales."""
        self.full_seen = True

    def restore(self) -> None:
        """Fill the reserve again once there is room to spare, also when PostgreSQL's recovery emptied it."""
        self.fill()

    def _count(self) -> int:
        return sum(self._size(part) > 0 for part in range(1, PARTS + 1))

    def _size(self, part: int) -> int:
        with self._database.read() as connection:
            found: int = connection.execute(
                text("SELECT coalesce(pg_relation_size(to_regclass(:name)), 0)"), {"name": f"reserve_{part}"}
            ).scalar_one()
        return found

    def _make(self, part: int) -> None:
        """Make a part anew, a little at a time, so that no sale waits long."""
        self._drop(part)
        with self._database.step(durable=False) as connection:
            connection.execute(text(f"CREATE UNLOGGED TABLE reserve_{part} (filler bytea)"))
            connection.execute(text(f"ALTER TABLE reserve_{part} ALTER COLUMN filler SET STORAGE PLAIN"))
        for at in range(0, self._pages, _STEP_PAGES):
            with self._database.step(durable=False) as connection:
                _insert(connection, part, min(_STEP_PAGES, self._pages - at))

    def _drop(self, part: int) -> None:
        with self._database.sale() as connection:
            connection.execute(text(f"DROP TABLE IF EXISTS reserve_{part}"))


def _insert(connection: Connection, part: int, pages: int) -> None:
    connection.execute(
        text(
            f"INSERT INTO reserve_{part} SELECT convert_to(repeat('x', :size), 'UTF8') "
            "FROM generate_series(1, :pages)"
        ),
        {"size": _ROW_BYTES, "pages": pages},
    )


def reserve_of(database: TillDatabase) -> Reserve:
    """Return the reserve that fits a till's database."""
    return TableReserve(database) if database.path is None else FileReserve(database.path)
