"""The till's one row: who it is and how far it got. Read inside the transaction that acts on it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from syncref.domain.identity import Key, Mark
from syncref.errors import StorageCorrupt
from syncref.store.till_schema import till

_SELECT = select(*(column for column in till.c if column.name != "one"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TillState:
    """The row as it is stored; times are epoch ms of the till's clock, sequences count journal entries."""

    till: str
    cluster: str
    incarnation: bytes
    head_seq: int
    head_hash: bytes
    counter: int
    business_date: str | None
    closed_date: str | None
    mode: str
    time_floor_ms: int
    acked: int
    safe: int
    term_n: int | None
    term_id: bytes | None
    cursor_n: int | None
    cursor_id: bytes | None
    cursor_pos: int
    urgent_pos: int
    stock_seq: int
    loaded: bool
    masters_ms: int | None
    contact_ms: int | None
    alarm: str | None
    overlay: bool

    @property
    def key(self) -> Key:
        """The journal's name."""
        return Key(till=self.till, incarnation=self.incarnation)

    @property
    def head(self) -> Mark:
        """The journal's newest entry."""
        return Mark(seq=self.head_seq, hash=self.head_hash)


def read_state(connection: Connection, *, lock: bool = False) -> TillState:
    """Return the till's row, locked until the end of the transaction if asked (SQLite locks anyway)."""
    row = connection.execute(_SELECT.with_for_update() if lock else _SELECT).one_or_none()
    if row is None:
        raise StorageCorrupt("the till's own row is missing from its database")
    return TillState(**row._mapping)


def write_state(connection: Connection, **values: object) -> None:
    """Set columns of the till's row."""
    connection.execute(update(till).values(**values))
