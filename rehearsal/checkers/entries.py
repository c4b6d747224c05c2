"""Journal entries as a witness keeps them."""

from __future__ import annotations

from dataclasses import dataclass

from rehearsal.checkers.payload import Content, NotAnEntry, decode

JournalKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A journal entry as one witness keeps it. `content` None: it can't be decoded, `error` says why."""

    seq: int
    hash: str
    payload: bytes
    content: Content | None
    error: str = ""


Journals = dict[JournalKey, tuple[Entry, ...]]


def entry_of(payload_hex: str, *, till: str, incarnation: str, seq: int, hashed: str) -> Entry:
    """Return the entry in a row of a journal file."""
    content, error, payload = None, "", b""
    try:
        payload = bytes.fromhex(payload_hex)
        content = decode(payload, till=till, incarnation=incarnation, seq=seq)
    except (NotAnEntry, ValueError) as problem:
        error = str(problem)
    return Entry(seq=seq, hash=hashed, payload=payload, content=content, error=error)


def joined(ours: tuple[Entry, ...], more: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return entries of one journal from two places, in order; at one sequence the first place counts."""
    if not ours or not more:
        return ours or more
    known = {entry.seq for entry in ours}
    return tuple(sorted((*ours, *(e for e in more if e.seq not in known)), key=lambda entry: entry.seq))
