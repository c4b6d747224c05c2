"""What the server holds of a till's business date, as sums: the settlement core judges them.

Posted receipts are summed in SQL; entries that were set aside or stored as duplicates are few, and read
back from their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, text
from sqlalchemy.dialects.postgresql import insert

from syncref.core.settlement import DayFacts, Sums, add
from syncref.core.step import replace
from syncref.domain.identity import Key, number_prefix, printed_prefix
from syncref.errors import NotFound, RuleBroken
from syncref.store.server_lost import before_mark, lost_of, numbers_here
from syncref.store.server_schema import abandoned
from syncref.wire.entry import Continued, DayClosed, DayOpened, Entry, Receipt, decode_entry

_DATES = text("""
SELECT DISTINCT till, business_date FROM (
  SELECT j.till, r.business_date FROM (SELECT DISTINCT till FROM journal) j
    CROSS JOIN LATERAL (SELECT DISTINCT business_date FROM receipt WHERE till = j.till
      AND (CAST(:date AS text) IS NULL OR business_date = :date)) r
  UNION SELECT till, business_date FROM z_report
  UNION SELECT till, business_date FROM abandoned
  UNION SELECT till, business_date FROM lost_receipts) d
WHERE (CAST(:date AS text) IS NULL OR business_date = :date) AND (CAST(:till AS text) IS NULL OR till = :till)
ORDER BY business_date, till
""")
_Z = text("""
SELECT z.incarnation, z.seq, z.sales, z.refunds, z.voids, z.gross, z.tax, z.by_tender, z.by_rate
FROM z_report z JOIN journal j USING (till, incarnation)
WHERE z.till = :till AND z.business_date = :date ORDER BY j.opened_ms DESC, z.seq DESC
""")
_FIRST = text("SELECT payload FROM entry WHERE till = :till AND incarnation = :incarnation AND seq = 1")
_SPANS = text("""
SELECT incarnation, min(seq) AS low, max(seq) AS high FROM receipt
WHERE till = :till AND business_date = :date AND status = 'posted' GROUP BY incarnation
""")
# A day's rows lie close together in a journal, so they are read by ranges of the key and never joined:
# right after a flush there are no statistics, and a join would be planned as a quadratic loop.
_SPAN = "till = :till AND incarnation = :incarnation AND seq BETWEEN :low AND :high"
_COUNTED = f"{_SPAN} AND seq <> ALL(CAST(:others AS bigint[]))"
_OTHERS = text(f"SELECT seq FROM receipt WHERE {_SPAN} AND (status <> 'posted' OR business_date <> :date)")
_COUNTS = text(
    "SELECT kind, count(*) AS n, sum(gross)::bigint AS gross, sum(tax)::bigint AS tax "
    f"FROM receipt WHERE {_COUNTED} GROUP BY kind"
)
_TENDERS = text(
    f"SELECT tender, sum(amount)::bigint AS amount FROM payment WHERE {_COUNTED} GROUP BY tender ORDER BY tender"
)
_RATES = text(
    "SELECT tax_rate_bp, sum(amount)::bigint AS gross, sum(tax)::bigint AS tax "
    f"FROM line WHERE {_COUNTED} GROUP BY tax_rate_bp ORDER BY tax_rate_bp"
)
_NUMBERS = text(r"""
SELECT prefix, min(c) AS low, max(c) AS high, count(DISTINCT c) AS n FROM (
  SELECT substring(receipt_no FROM '^.*-') AS prefix, substring(receipt_no FROM '[0-9]+$')::numeric AS c
  FROM receipt WHERE till = :till AND business_date = :date) numbers
WHERE prefix IS NOT NULL AND c IS NOT NULL GROUP BY prefix
""")
_ODD = text("""
SELECT e.incarnation, e.seq, e.payload, o.kind, r.action FROM (
    SELECT till, incarnation, seq, 'aside' AS kind FROM aside WHERE till = :till
    UNION ALL SELECT till, incarnation, seq, 'duplicate' FROM receipt
      WHERE till = :till AND business_date = :date AND status = 'duplicate') o
  JOIN entry e USING (till, incarnation, seq) LEFT JOIN resolution r USING (till, incarnation, seq)
""")
_NEXT_Z = text("""
SELECT business_date FROM z_report WHERE till = :till AND incarnation = :incarnation AND seq > :seq
ORDER BY seq LIMIT 1
""")
_ANY = text("SELECT 1 FROM receipt WHERE till = :till AND business_date = :date LIMIT 1")
_CLOSED = text("SELECT 1 FROM z_report WHERE till = :till AND business_date = :date LIMIT 1")
_ABANDONED = text("SELECT clerk, evidence FROM abandoned WHERE till = :till AND business_date = :date")


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A till's business date and what the server holds of it."""

    till: str
    business_date: str
    facts: DayFacts


def read_days(connection: Connection, *, date: str | None, till: str | None) -> Iterator[Day]:
    """Yield every till's business dates (or one date, or one till's), in order of date and till."""
    for row in connection.execute(_DATES, {"date": date, "till": till}).all():
        facts = _facts(connection, row.till, row.business_date)
        yield Day(till=row.till, business_date=row.business_date, facts=facts)


def sign_abandoned(connection: Connection, till: str, date: str, *, evidence: str, clerk: str, at_ms: int) -> str:
    """Store that a till will never close a date, and return what that changes. A late Z counts all the same.

    Raises NotFound for a till that never reached this server, RuleBroken when the date is closed.
    """
    of_day = {"till": till, "date": date}
    if connection.execute(text("SELECT 1 FROM journal WHERE till = :till"), of_day).first() is None:
        raise NotFound(f"no till {till} has ever been here")
    if connection.execute(_CLOSED, of_day).first() is not None:
        raise RuleBroken(f"nothing to abandon: {till} closed {date}, its Z is here")
    before = connection.execute(_ABANDONED, of_day).one_or_none()
    if before is not None:
        return f"nothing new: {before.clerk} abandoned {date} of {till} already: {before.evidence}"
    connection.execute(
        insert(abandoned).values(till=till, business_date=date, evidence=evidence, clerk=clerk, at_ms=at_ms)
    )
    if connection.execute(_ANY, of_day).first() is None:
        return f"{date} of {till} is abandoned; nothing is owed for it, no receipt of that date is here"
    return f"{date} of {till} is abandoned"


def _facts(connection: Connection, till: str, date: str) -> DayFacts:
    of_day = {"till": till, "date": date}
    reports = connection.execute(_Z, of_day).all()
    z = reports[0] if reports else None
    posted, late = Sums(), Sums()
    covered = {} if z is None else _covered(connection, till, bytes(z.incarnation), z.seq)
    for span in connection.execute(_SPANS, of_day).all():
        of_span = {**of_day, "incarnation": span.incarnation, "low": span.low, "high": span.high}
        end = span.high if z is None else min(span.high, covered.get(bytes(span.incarnation), 0))
        if end >= span.low:
            posted = add(posted, _sums(connection, {**of_span, "high": end}))
        if end < span.high:
            late = add(late, _sums(connection, {**of_span, "low": max(span.low, end + 1)}))
    facts = DayFacts(
        posted=posted,
        late=late,
        z=None if z is None else _z_sums(z),
        z_count=len(reports),
        abandoned=connection.execute(_ABANDONED, of_day).first() is not None,
    )
    return _with_odd_entries(connection, till, date, _with_losses(connection, till, date, facts, covered))


def _with_losses(
    connection: Connection, till: str, date: str, facts: DayFacts, covered: dict[bytes, int]
) -> DayFacts:
    """Return the facts with what was declared lost. The Z counts what stood before it in its line of journals."""
    of_z = next(iter(covered), None)
    for lost in lost_of(connection, till, date):
        declared = (*facts.declared, (lost.absent, f"{lost.clerk}: {lost.evidence}"))
        facts = replace(facts, declared=declared)
        mark = covered.get(lost.incarnation)
        if mark is not None and (lost.incarnation == of_z or before_mark(connection, till, lost, mark)):
            facts = replace(facts, lost=facts.lost + lost.absent)
    return facts


def _covered(connection: Connection, till: str, incarnation: bytes, seq: int) -> dict[bytes, int]:
    """Return incarnation -> the last sequence that a till knew at a place in its journal.

    A journal that continues another begins by saying up to where it has that one: what the server holds
    beyond, the till had lost, or a copy of it made.
    """
    covered = {incarnation: seq}
    while True:
        payload = connection.execute(_FIRST, {"till": till, "incarnation": incarnation}).scalar()
        entry = None if payload is None else _entry(bytes(payload))
        if not isinstance(entry, Continued) or entry.incarnation in covered:
            return covered
        incarnation = entry.incarnation
        covered[incarnation] = entry.seq


def _z_sums(z: Row[Any]) -> Sums:
    return Sums(
        sales=z.sales,
        refunds=z.refunds,
        voids=z.voids,
        gross=z.gross,
        tax=z.tax,
        by_tender=msgspec.json.decode(z.by_tender, type=tuple[tuple[str, int], ...]),
        by_rate=msgspec.json.decode(z.by_rate, type=tuple[tuple[int, int, int], ...]),
    )


def _sums(connection: Connection, of_span: dict[str, object]) -> Sums:
    others = list(connection.execute(_OTHERS, of_span).scalars())
    of_span = {**of_span, "others": others}
    counts = {row.kind: row for row in connection.execute(_COUNTS, of_span)}
    return Sums(
        sales=counts["sale"].n if "sale" in counts else 0,
        refunds=counts["refund"].n if "refund" in counts else 0,
        voids=counts["void"].n if "void" in counts else 0,
        gross=sum(row.gross for row in counts.values()),
        tax=sum(row.tax for row in counts.values()),
        by_tender=tuple((row.tender, row.amount) for row in connection.execute(_TENDERS, of_span)),
        by_rate=tuple((r.tax_rate_bp, r.gross, r.tax) for r in connection.execute(_RATES, of_span)),
    )


def _with_odd_entries(connection: Connection, till: str, date: str, facts: DayFacts) -> DayFacts:
    """Return the facts with set-aside, duplicate, written-off and missing receipts counted."""
    numbers = connection.execute(_NUMBERS, {"till": till, "date": date}).all()
    missing = {row.prefix: int(row.high - row.low) + 1 - row.n for row in numbers}
    bounds = {row.prefix: (int(row.low), int(row.high)) for row in numbers}
    for lost in lost_of(connection, till, date):
        key = Key(till=till, incarnation=lost.incarnation)
        low, high = bounds.get(number_prefix(key), (0, -1))
        first, last = max(lost.first, low), min(lost.last, high)
        if first <= last:
            missing[number_prefix(key)] -= last - first + 1 - numbers_here(connection, key, first, last)
    for row in connection.execute(_ODD, {"till": till, "date": date}).all():
        entry = _entry(bytes(row.payload))
        if not _belongs(connection, till, date, row, entry, closed=facts.z is not None):
            continue
        if row.action == "posted":
            continue  # its typed rows are counted like any other
        printed = entry.number if isinstance(entry, Receipt) else None
        prefix = printed_prefix(Key(till=till, incarnation=bytes(row.incarnation)), printed)
        if row.kind == "aside" and missing.get(prefix, 0) > 0:
            missing[prefix] -= 1
        if row.action is None and row.kind == "aside":
            facts = replace(facts, aside=facts.aside + 1)
        elif row.action is None:
            facts = replace(facts, duplicates=facts.duplicates + 1)
        elif isinstance(entry, Receipt):
            facts = replace(facts, written_off=add(facts.written_off, receipt_sums(entry)))
        else:
            facts = replace(facts, unreadable_written_off=facts.unreadable_written_off + 1)
    return replace(facts, missing=sum(missing.values()))


def _entry(payload: bytes) -> Entry | None:
    try:
        return decode_entry(payload)
    except msgspec.DecodeError:
        return None


def _belongs(
    connection: Connection, till: str, date: str, row: Row[Any], entry: Entry | None, *, closed: bool
) -> bool:
    """Return whether an entry belongs to a date; one that can't be read, to the Z that followed it."""
    if isinstance(entry, Receipt | DayClosed | DayOpened) and len(entry.business_date) == 10:
        return entry.business_date == date
    following: str | None = connection.execute(
        _NEXT_Z, {"till": till, "incarnation": row.incarnation, "seq": row.seq}
    ).scalar()
    return following == date or (following is None and not closed)


def receipt_sums(receipt: Receipt) -> Sums:
    """Return the sums of one receipt, as its own header, lines and payments say."""
    tenders: dict[str, int] = {}
    for payment in receipt.payments:
        tenders[payment.tender] = tenders.get(payment.tender, 0) + payment.amount
    rates: dict[int, tuple[int, int]] = {}
    for line in receipt.lines:
        gross, tax = rates.get(line.tax_rate_bp, (0, 0))
        rates[line.tax_rate_bp] = (gross + line.amount, tax + line.tax)
    return Sums(
        sales=int(receipt.kind == "sale"),
        refunds=int(receipt.kind == "refund"),
        voids=int(receipt.kind == "void"),
        gross=receipt.gross,
        tax=receipt.tax,
        by_tender=tuple(sorted(tenders.items())),
        by_rate=tuple(sorted((rate, gross, tax) for rate, (gross, tax) in rates.items())),
    )
