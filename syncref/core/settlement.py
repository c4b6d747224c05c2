"""Settlement: whether a till's Z report of a business date is what the server has posted, to the cent.

TALLIED means Z = posted + written off, in counts, totals, tenders and tax rates. Of receipts that an operator
declared lost the numbers are known and nothing else, so with them it means counts alone, and says so. A date is
judged from its sums alone, again and again as entries arrive.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from msgspec import Struct


class State(Enum):
    """OPEN: no Z yet. ABANDONED: there will be no Z.

    RESTATED: the Z agrees with what its till knew, and there are receipts of the date that it did not: late
    ones, those that a till's disk lost after they were sent, those of a copy of the till.
    """

    OPEN = "open"
    TALLIED = "tallied"
    RESTATED = "restated"
    MISMATCH = "mismatch"
    ABANDONED = "abandoned"


class Sums(Struct, frozen=True, kw_only=True):
    """Totals of receipts, in minor units; by tender: amount; by rate in basis points: (gross, tax)."""

    sales: int = 0
    refunds: int = 0
    voids: int = 0
    gross: int = 0
    tax: int = 0
    by_tender: tuple[tuple[str, int], ...] = ()
    by_rate: tuple[tuple[int, int, int], ...] = ()

    @property
    def receipts(self) -> int:
        """How many receipts the sums cover."""
        return self.sales + self.refunds + self.voids


class DayFacts(Struct, frozen=True, kw_only=True):
    """What the server holds of one till and business date.

    posted      receipts that count, except the late ones
    late        receipts that count and that the Z of the date can't cover: later in its journal, or in another
                one beyond the mark from which the Z's journal continues that one
    written_off receipts set aside or duplicate that a clerk wrote off, as far as their bytes can be read
    unreadable_written_off  how many more were written off that can't be read
    aside       set aside entries of this date (or unreadable, of the till) that nobody has resolved
    duplicates  receipts whose op id came from another journal first, unresolved
    missing     receipt numbers that are skipped between the first and the last, and not declared lost
    lost        receipts declared lost that the Z counts and that have not come since
    declared    (how many receipts, who declared them lost and why), also of what the Z can't know
    z           the Z report; None while it has not come
    abandoned   an operator has signed that the till will never close this date
    """

    posted: Sums = Sums()
    late: Sums = Sums()
    written_off: Sums = Sums()
    unreadable_written_off: int = 0
    aside: int = 0
    duplicates: int = 0
    missing: int = 0
    lost: int = 0
    declared: tuple[tuple[int, str], ...] = ()
    z: Sums | None = None
    z_count: int = 0
    abandoned: bool = False


class Settled(Struct, frozen=True, kw_only=True):
    """The verdict on a date, why it is not tallied, and what was declared lost of it."""

    state: State
    reasons: tuple[str, ...] = ()


def settle(facts: DayFacts) -> Settled:
    """Return the state of a till's business date."""
    declared = tuple(f"{receipts} receipts declared lost by {why}" for receipts, why in facts.declared)
    if facts.z is None:
        return Settled(state=State.ABANDONED if facts.abandoned else State.OPEN, reasons=declared)
    reasons = _unsettled(facts)
    on_time = add(facts.posted, facts.written_off)
    uncounted = facts.unreadable_written_off + facts.lost
    difference = _difference(facts.z, on_time, uncounted)
    if facts.lost and not difference:
        declared = (*declared, f"{facts.z.gross - on_time.gross} of the Z's gross is not here")
    if not reasons and not difference and not facts.late.receipts:
        return Settled(state=State.TALLIED, reasons=declared)
    if not reasons and not difference:
        late = f"{facts.late.receipts} late receipts of {facts.late.gross}"
        return Settled(state=State.RESTATED, reasons=(late, *declared))
    if not reasons and not _difference(facts.z, add(on_time, facts.late), uncounted):
        return Settled(state=State.TALLIED, reasons=declared)
    return Settled(state=State.MISMATCH, reasons=(*reasons, *difference, *declared))


def add(one: Sums, other: Sums) -> Sums:
    """Return the sums over the receipts of both."""
    if not other.receipts:
        return one
    tenders = dict(one.by_tender)
    for tender, amount in other.by_tender:
        tenders[tender] = tenders.get(tender, 0) + amount
    rates = {rate: (gross, tax) for rate, gross, tax in one.by_rate}
    for rate, gross, tax in other.by_rate:
        have = rates.get(rate, (0, 0))
        rates[rate] = (have[0] + gross, have[1] + tax)
    return Sums(
        sales=one.sales + other.sales,
        refunds=one.refunds + other.refunds,
        voids=one.voids + other.voids,
        gross=one.gross + other.gross,
        tax=one.tax + other.tax,
        by_tender=tuple(sorted(tenders.items())),
        by_rate=tuple(sorted((rate, gross, tax) for rate, (gross, tax) in rates.items())),
    )


def _unsettled(facts: DayFacts) -> tuple[str, ...]:
    """Return what must be resolved before any tally holds."""
    reasons = []
    if facts.aside:
        reasons.append(f"{facts.aside} entries set aside")
    if facts.duplicates:
        reasons.append(f"{facts.duplicates} receipts under an op id that was posted before")
    if facts.missing:
        reasons.append(f"{facts.missing} receipt numbers missing")
    if facts.z_count > 1:
        reasons.append(f"{facts.z_count} Z reports")
    return tuple(reasons)


def _difference(z: Sums, held: Sums, unreadable: int) -> tuple[str, ...]:
    """Return in what Z and the server differ. What is unreadable or lost explains amounts, not counts."""
    if unreadable:
        if z.receipts == held.receipts + unreadable:
            return ()
        return (f"Z has {z.receipts} receipts, posted, written off and lost {held.receipts + unreadable}",)
    pairs = (
        ("sales", z.sales, held.sales),
        ("refunds", z.refunds, held.refunds),
        ("voids", z.voids, held.voids),
        ("gross", z.gross, held.gross),
        ("tax", z.tax, held.tax),
        ("tenders", _without_zero(z.by_tender), _without_zero(held.by_tender)),
        ("tax rates", _without_zero(z.by_rate), _without_zero(held.by_rate)),
    )
    return tuple(f"{what}: Z {a}, posted and written off {b}" for what, a, b in pairs if a != b)


def _without_zero(rows: Iterable[tuple[str | int, ...]]) -> list[tuple[str | int, ...]]:
    return sorted((row for row in rows if any(row[1:])), key=str)
