"""The settlement, till by till and date by date, as each witness tells it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from rehearsal.checkers.losses import read_losses
from rehearsal.evidence.reader import Evidence, EvidenceMissing
from rehearsal.model import Meta
from rehearsal.report.forgiving import history, integer, rows

Day = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRow:
    """One till and date: money in minor units and receipts; None where a witness says nothing.

    `left`: the till was cleaned of it, so that the server alone has it.
    """

    till: str
    date: str
    receipts_till: int | None
    receipts_server: int | None
    gross_cashiers: int | None
    gross_till: int | None
    gross_z: int | None
    gross_server: int | None
    gross_settled: int | None
    state: str
    left: bool = False

    @property
    def agrees(self) -> bool:
        """Say whether till, Z, receipts on the server and the server's settlement name one amount.

        A restated date has receipts that its till does not know of: there the server agrees with itself, and
        the till with its Z. Of a date that left its till the server is asked alone.
        """
        if self.left and self.gross_till is None and self.gross_z is None:
            return self.gross_server is not None and self.gross_server == self.gross_settled
        if self.state == "RESTATED":
            return self.gross_server == self.gross_settled and self.gross_till == self.gross_z
        known = {self.gross_till, self.gross_z, self.gross_server, self.gross_settled}
        return len(known) == 1 and None not in known


@dataclass(slots=True)
class _Book:
    """Gross and number of receipts by till and date, and the day of each receipt number."""

    gross: dict[Day, int]
    receipts: dict[Day, int]
    day_of: dict[str, Day]


def days(evidence: Evidence, meta: Meta, gaps: list[str]) -> tuple[DayRow, ...]:
    """Return a row for each till and date that any witness knows; of a declared loss that are the cashiers."""
    tills = meta.fleet.tills
    till = _book([(f"tills/{name}/receipts.csv", name) for name in tills], evidence, gaps)
    server = _book([("server/receipts.csv", "")], evidence, gaps)
    z_gross, _ = _reports([(f"tills/{name}/z.csv", name) for name in tills], evidence, gaps)
    settled, states = _reports([("server/settlement.csv", "")], evidence, gaps)
    cashiers = _cashiers(evidence, {**_lost(evidence, meta, gaps), **server.day_of, **till.day_of}, gaps)
    left = {(one.till, one.date) for one in meta.cleaned}
    return tuple(
        DayRow(
            till=day[0],
            date=day[1],
            receipts_till=till.receipts.get(day),
            receipts_server=server.receipts.get(day),
            gross_cashiers=cashiers.get(day),
            gross_till=till.gross.get(day),
            gross_z=z_gross.get(day),
            gross_server=server.gross.get(day),
            gross_settled=settled.get(day),
            state=states.get(day, ""),
            left=day in left,
        )
        for day in sorted({*till.gross, *server.gross, *z_gross, *settled, *cashiers})
    )


def _lost(evidence: Evidence, meta: Meta, gaps: list[str]) -> dict[str, Day]:
    """Return number -> day of the receipts that a declared loss took from till and server."""
    try:
        declared = read_losses(evidence, meta)
    except (EvidenceMissing, OSError, ValueError) as error:
        gaps.append(f"what was declared lost: {error}")
        return {}
    return {gone.receipt_no: (gone.till, gone.business_date) for _, gone in declared.lost.values()}


def _book(files: Iterable[tuple[str, str]], evidence: Evidence, gaps: list[str]) -> _Book:
    """Read receipts that count; a duplicate on the server does not."""
    book = _Book(gross=defaultdict(int), receipts=defaultdict(int), day_of={})
    for name, till in files:
        for row in rows(evidence, name, gaps):
            if row.get("status") == "duplicate":
                continue
            day = (till or row.get("till") or "?", row.get("business_date") or "?")
            book.gross[day] += integer(row.get("gross")) or 0
            book.receipts[day] += 1
            book.day_of[row.get("receipt_no") or ""] = day
    return book


def _reports(
    files: Iterable[tuple[str, str]], evidence: Evidence, gaps: list[str]
) -> tuple[dict[Day, int], dict[Day, str]]:
    """Return gross and state from files that repeat both on a row for each tender."""
    gross: dict[Day, int] = {}
    states: dict[Day, str] = {}
    for name, till in files:
        for row in rows(evidence, name, gaps):
            day = (till or row.get("till") or "?", row.get("business_date") or "?")
            amount = integer(row.get("gross"))
            if amount is not None:
                gross[day] = amount
            states[day] = row.get("state") or ""
    return gross, states


def _cashiers(evidence: Evidence, day_of: dict[str, Day], gaps: list[str]) -> dict[Day, int]:
    """Return what cashiers were told, by the day of the receipt; each op id counts once."""
    gross: dict[Day, int] = defaultdict(int)
    seen: set[str] = set()
    for line in history(evidence, gaps):
        op_id, number, amount = str(line.get("op_id")), line.get("receipt_no"), line.get("gross")
        if line.get("type") != "ok" or number is None or op_id in seen:
            continue
        seen.add(op_id)
        day = day_of.get(str(number), (str(line.get("till")), "?"))
        gross[day] += amount if isinstance(amount, int) else 0
    return gross
