"""Signed losses: receipts, or entries of a journal, that an operator says will never come.

Keeps: nothing that is here is declared lost, nothing is declared twice, and what comes all the same counts.
Entries are only passed over up to a mark that the till itself named: the chain goes on from what it vouches for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import Connection, text, update
from sqlalchemy.dialects.postgresql import insert

from syncref.domain.identity import HASH_BYTES, Key, Mark, number_prefix, short_number
from syncref.errors import NotFound, RequestInvalid, RuleBroken
from syncref.store.server_schema import journal, lost_entries, lost_receipts

_NUMBER = re.compile(r"([A-Z0-9-]{1,16})-([A-Z2-7]{5})-([0-9]{6,9})")
_COUNTER = "CAST(substring(receipt_no FROM '[0-9]+$') AS bigint)"
_HERE = text(  # in whichever journal: one that continues another may have numbers of that
    "SELECT count(DISTINCT receipt_no) FROM receipt WHERE till = :till AND starts_with(receipt_no, :prefix) "
    f"AND {_COUNTER} BETWEEN :first AND :last"
)
_OVERLAPS = text(
    "SELECT first, last FROM lost_receipts WHERE till = :till AND incarnation = :incarnation "
    "AND first <= :last AND last >= :first"
)
_OF_DATE = text(
    "SELECT incarnation, first, last, evidence, clerk FROM lost_receipts WHERE till = :till "
    "AND business_date = :date ORDER BY incarnation, first"
)
_BEYOND = text(
    "SELECT 1 FROM receipt WHERE till = :till AND incarnation = :incarnation AND starts_with(receipt_no, :prefix) "
    f"AND {_COUNTER} > :last AND seq <= :mark LIMIT 1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Who signs, and what shows that it is so."""

    evidence: str
    clerk: str
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LostReceipts:
    """Receipt numbers `first` to `last` of a journal; `absent` of them have not come since."""

    incarnation: bytes
    first: int
    last: int
    absent: int
    evidence: str
    clerk: str


def numbers_of(first: str, last: str) -> tuple[str, str, int, int]:
    """Return till, short number, and the first and last counter of two printed numbers. Raises RequestInvalid."""
    parts = []
    for printed in (first, last):
        found = _NUMBER.fullmatch(printed)
        if found is None:
            raise RequestInvalid(f"{printed!r} is no receipt number; expected TILL-SHORT-000017", where="number")
        parts.append((found[1], found[2], int(found[3])))
    (till, short, low), (other_till, other_short, high) = parts
    if (till, short) != (other_till, other_short):
        raise RequestInvalid(f"{first} and {last} are of two journals", where="number")
    if not 0 < low <= high:
        raise RequestInvalid(f"{first} to {last} is no range", where="number")
    return till, short, low, high


def sign_lost_receipts(connection: Connection, first: str, last: str, *, date: str, signed: Signed) -> int:
    """Declare printed numbers of a business date lost; return how many.

    Raises RequestInvalid, NotFound when that journal never reached this server, and RuleBroken when one of them is
    here or was declared before.
    """
    till, short, low, high = numbers_of(first, last)
    key = Key(till=till, incarnation=_journal(connection, till, short))
    of = {"till": till, "incarnation": key.incarnation, "first": low, "last": high}
    here = numbers_here(connection, key, low, high)
    if here:
        raise RuleBroken(f"{here} of the receipts {first} to {last} are here: they are not lost")
    for row in connection.execute(_OVERLAPS, of):
        raise RuleBroken(f"numbers {row.first} to {row.last} of that journal are declared lost already")
    connection.execute(
        insert(lost_receipts).values(
            **of, business_date=date, evidence=signed.evidence, clerk=signed.clerk, at_ms=signed.at_ms
        )
    )
    return high - low + 1


def sign_lost_entries(connection: Connection, key: Key, last: Mark, *, signed: Signed) -> int:
    """Pass over the entries up to a till's own mark, which it has pruned and this server lacks; return how many.

    Raises RequestInvalid, NotFound, and RuleBroken when there is nothing to pass over.
    """
    if len(last.hash) != HASH_BYTES:
        raise RequestInvalid(f"a hash has {HASH_BYTES} bytes", where="hash")
    of = (journal.c.till == key.till) & (journal.c.incarnation == key.incarnation)
    row = connection.execute(journal.select().where(of).with_for_update()).one_or_none()
    if row is None:
        raise NotFound(f"{key.till} has no such journal here")
    if row.closed_at_seq is not None:
        raise RuleBroken(f"that journal of {key.till} is closed at {row.closed_at_seq}: nothing more comes")
    if row.seq >= last.seq:
        raise RuleBroken(f"entries up to {row.seq} of that journal are here: nothing up to {last.seq} is lost")
    connection.execute(
        insert(lost_entries).values(
            till=key.till, incarnation=key.incarnation, first_seq=row.seq + 1, last_seq=last.seq, hash=last.hash,
            evidence=signed.evidence, clerk=signed.clerk, at_ms=signed.at_ms,
        )
    )  # fmt: skip
    values = {"seq": last.seq, "hash": last.hash, "session": None}  # what its till is told of it is told anew
    connection.execute(update(journal).where(of).values(values))
    return int(last.seq - row.seq)


def lost_of(connection: Connection, till: str, date: str) -> list[LostReceipts]:
    """Return what was declared lost of a date."""
    found = []
    for row in connection.execute(_OF_DATE, {"till": till, "date": date}).all():
        here = numbers_here(connection, Key(till=till, incarnation=bytes(row.incarnation)), row.first, row.last)
        absent = row.last - row.first + 1 - here
        found.append(
            LostReceipts(
                incarnation=bytes(row.incarnation), first=row.first, last=row.last, absent=absent,
                evidence=row.evidence, clerk=row.clerk,
            )
        )  # fmt: skip
    return found


def numbers_here(connection: Connection, key: Key, first: int, last: int) -> int:
    """Return how many of a journal's numbers are here."""
    of = {"till": key.till, "prefix": number_prefix(key), "first": first, "last": last}
    return int(connection.execute(_HERE, of).scalar_one())


def before_mark(connection: Connection, till: str, lost: LostReceipts, mark: int) -> bool:
    """Return whether a receipt after the lost ones stands in their journal up to a sequence."""
    prefix = number_prefix(Key(till=till, incarnation=lost.incarnation))
    of = {"till": till, "incarnation": lost.incarnation, "prefix": prefix, "last": lost.last, "mark": mark}
    return connection.execute(_BEYOND, of).first() is not None


def _journal(connection: Connection, till: str, short: str) -> bytes:
    rows = connection.execute(text("SELECT incarnation FROM journal WHERE till = :till"), {"till": till})
    found = [bytes(row.incarnation) for row in rows if short_number(bytes(row.incarnation)) == short]
    if len(found) != 1:
        raise NotFound(f"{len(found) or 'no'} journals of {till} print {short} here")
    return found[0]
