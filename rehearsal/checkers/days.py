"""Business dates: which date was open on a till where a receipt or a Z report was journaled.

Property kept: the date moves by the journal's own openings and closings only; a journal that continues another
one takes over the date that was open there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rehearsal.checkers.entries import JournalKey, Journals
from rehearsal.checkers.payload import Content, Continued, DayClosed, DayOpened, Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Misdated:
    """An entry of another date than the one that was open; `open_date` None: no day was open."""

    key: JournalKey
    seq: int
    content: Receipt | DayClosed
    open_date: str | None


def misdated(journals: Journals) -> Iterator[Misdated]:
    """Yield every receipt and Z report that is not of the date then open on its till."""
    for key, entries in sorted(journals.items()):
        if not _followable(journals, key):
            continue
        date: str | None = None
        for entry in entries:
            content = entry.content
            if isinstance(content, Receipt | DayClosed) and content.business_date != date:
                yield Misdated(key=key, seq=entry.seq, content=content, open_date=date)
            date = _after(journals, key, content, date)


def _after(journals: Journals, key: JournalKey, content: Content | None, date: str | None) -> str | None:
    """Return the date that is open after an entry."""
    match content:
        case DayOpened():
            return content.business_date
        case DayClosed():
            return None
        case Continued():
            return _open_at(journals, (key[0], content.incarnation), content.seq)
        case _:
            return date


def _open_at(journals: Journals, key: JournalKey, seq: int) -> str | None:
    date = None
    for entry in journals.get(key, ()):
        if entry.seq > seq:
            break
        date = _after(journals, key, entry.content, date)
    return date


def _followable(journals: Journals, key: JournalKey) -> bool:
    """Say whether all that a journal continues is there; else its tail was journaled anew, at this one's end."""
    seen = {key}
    while isinstance(first := _first(journals, key), Continued) and first.seq:
        key = (key[0], first.incarnation)
        entries = journals.get(key, ())
        if key in seen or not entries or entries[-1].seq < first.seq:
            return False
        seen.add(key)
    return True


def _first(journals: Journals, key: JournalKey) -> Content | None:
    return next((entry.content for entry in journals.get(key, ())), None)
