"""A server's facts of each till and business date, as its settlement report takes them from its rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from chaos.fleet.simulated.reception import decoded
from chaos.fleet.simulated.server_store import Journal, ServerStore
from syncref.core.settlement import DayFacts, Sums
from syncref.domain.identity import Key, printed_prefix
from syncref.wire.entry import DayClosed, Receipt


def sums(receipts: Iterable[Receipt]) -> Sums:
    """Return the totals of receipts."""
    counts = {"sale": 0, "refund": 0, "void": 0}
    tenders: dict[str, int] = {}
    rates: dict[int, tuple[int, int]] = {}
    gross = tax = 0
    for receipt in receipts:
        counts[receipt.kind] += 1
        gross += receipt.gross
        tax += receipt.tax
        for payment in receipt.payments:
            tenders[payment.tender] = tenders.get(payment.tender, 0) + payment.amount
        for line in receipt.lines:
            before = rates.get(line.tax_rate_bp, (0, 0))
            rates[line.tax_rate_bp] = (before[0] + line.amount, before[1] + line.tax)
    return Sums(
        sales=counts["sale"],
        refunds=counts["refund"],
        voids=counts["void"],
        gross=gross,
        tax=tax,
        by_tender=tuple(sorted(tenders.items())),
        by_rate=tuple(sorted((rate, *both) for rate, both in rates.items())),
    )


def z_sums(z: DayClosed) -> Sums:
    """Return what a Z report states."""
    return Sums(
        sales=z.sales,
        refunds=z.refunds,
        voids=z.voids,
        gross=z.gross,
        tax=z.tax,
        by_tender=tuple((payment.tender, payment.amount) for payment in z.by_tender),
        by_rate=tuple((rate.rate_bp, rate.gross, rate.tax) for rate in z.by_rate),
    )


def day_facts(store: ServerStore, till: str, date: str) -> DayFacts:
    """Return what the server holds of a till's date."""
    journals = [(key, journal) for key, journal in store.journals.items() if key.till == till]
    zs = {
        z.op_id: (key, journal, seq, z)
        for key, journal in journals
        for seq, z in journal.zs
        if z.business_date == date
    }
    covered = _covered(journals, zs.values())
    pile = _Pile([], [], [])
    for key, journal in journals:
        upto = covered.get(key.incarnation, 0) if zs else 1 << 62
        _sort_receipts(key, journal, date, upto, pile)
        _sort_asides(key, journal, date, upto, pile)
    first = next(iter(zs.values()), None)
    return DayFacts(
        posted=sums(pile.posted),
        late=sums(pile.late),
        written_off=sums(pile.written_off),
        unreadable_written_off=pile.unreadable,
        aside=pile.aside,
        duplicates=pile.duplicates,
        z=None if first is None else z_sums(first[3]),
        z_count=len(zs),
        missing=sum(_holes(counters, pile.unnumbered[prefix]) for prefix, counters in pile.numbers.items()),
    )


@dataclass(slots=True)
class _Pile:
    """A date's receipts, sorted by what became of them.

    `numbers`: counters by what their printed numbers begin with; `unnumbered`: how many were set aside.
    """

    posted: list[Receipt]
    late: list[Receipt]
    written_off: list[Receipt]
    aside: int = 0
    duplicates: int = 0
    unreadable: int = 0
    numbers: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    unnumbered: Counter[str] = field(default_factory=Counter)


def _holes(counters: set[int], aside: int) -> int:
    """Return how many numbers between the lowest and the highest are nowhere."""
    return max(0, max(counters) - min(counters) + 1 - len(counters) - aside)


def _sort_receipts(key: Key, journal: Journal, date: str, upto: int, pile: _Pile) -> None:
    for row in journal.receipts:
        if row.receipt.business_date != date:
            continue
        pile.numbers[printed_prefix(key, row.receipt.number)].add(row.receipt.counter)
        if row.status == "duplicate" and row.seq not in journal.resolved:
            pile.duplicates += 1
        elif row.status == "duplicate":
            pile.written_off.append(row.receipt)
        elif row.seq <= upto:
            pile.posted.append(row.receipt)
        else:
            pile.late.append(row.receipt)


def _sort_asides(key: Key, journal: Journal, date: str, upto: int, pile: _Pile) -> None:
    for row in journal.asides:
        entry = decoded(journal.entries[row.seq - 1][1])
        if isinstance(entry, Receipt) and entry.business_date != date:
            continue
        printed = entry.number if isinstance(entry, Receipt) else None
        pile.unnumbered[printed_prefix(key, printed)] += 1
        if row.seq not in journal.resolved:
            pile.aside += 1
        elif isinstance(entry, Receipt):
            pile.written_off.append(entry)
        else:
            pile.unreadable += row.seq <= upto


def _covered(
    journals: list[tuple[Key, Journal]], zs: Iterable[tuple[Key, Journal, int, DayClosed]]
) -> dict[bytes, int]:
    """Return up to which sequence of which incarnation a date's Z covers: its own and those it continues."""
    by_incarnation = {key.incarnation: journal for key, journal in journals}
    covered: dict[bytes, int] = {}
    for key, _, seq, _ in zs:
        covered[key.incarnation] = seq
        following = [key.incarnation]
        while following:
            journal = by_incarnation.get(following.pop())
            for earlier in () if journal is None else journal.continues:
                closed = by_incarnation.get(earlier)
                if closed is not None and closed.row.closed_at is not None:
                    covered[earlier] = closed.row.closed_at
                    following.append(earlier)
    return covered
