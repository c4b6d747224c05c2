"""Settlement: what the entries add up to is what the server reports and what the Z reports say.

Convicts when the sum of a till's date, from journal payloads or from typed rows, differs from the
server's settlement or the till's Z, by total, tax or tender; when a receipt is of another date than the one
open on its till, or a day was opened otherwise than asked; when a Z is missing; when a date is not tallied.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rehearsal.checkers.case import Case
from rehearsal.checkers.days import misdated
from rehearsal.checkers.entries import Entry, JournalKey
from rehearsal.checkers.findings import Findings, Where
from rehearsal.checkers.payload import Continued, DayClosed, DayOpened, Receipt
from rehearsal.model import CheckResult

NAME = "settlement"
Day = tuple[str, str]


@dataclass(slots=True)
class Totals:
    """The sums of one till's business date. Tenders of zero are left out of comparisons."""

    receipts: int = 0
    gross: int = 0
    tax: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    tenders: Counter[str] = field(default_factory=Counter)
    rates: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    numbers: list[str] = field(default_factory=list)
    states: set[str] = field(default_factory=set)

    def add(self, receipt: Receipt) -> None:
        """Count a receipt."""
        self.receipts += 1
        self.gross += receipt.gross
        self.tax += receipt.tax
        self.kinds[receipt.kind] += 1
        self.numbers.append(receipt.receipt_no)
        for payment in receipt.payments:
            self.tenders[payment.tender] += payment.amount
        for line in receipt.lines:
            self.rates[line.tax_rate_bp][0] += line.amount
            self.rates[line.tax_rate_bp][1] += line.tax

    def sums(self, *, zeros: bool = False) -> dict[str, Any]:
        """Return what two witnesses of a date must agree on; `zeros`: with tenders that came to nothing."""
        tenders = {tender: amount for tender, amount in sorted(self.tenders.items()) if amount or zeros}
        return {"receipts": self.receipts, "gross": self.gross, "tax": self.tax, "tenders": tenders}

    def rate_sums(self) -> dict[int, tuple[int, int]]:
        """Return rate → (gross, tax), without rates that add up to nothing."""
        return {rate: (gross, tax) for rate, (gross, tax) in self.rates.items() if gross or tax}


def add_up(receipts: Iterable[Receipt]) -> dict[Day, Totals]:
    """Return the sums per till and business date of all receipts that count."""
    found: dict[Day, Totals] = defaultdict(Totals)
    for receipt in receipts:
        if receipt.counts:
            found[receipt.till, receipt.business_date].add(receipt)
    return found


def reported(rows: Iterable[dict[str, str]], findings: Findings, where: str) -> dict[Day, Totals]:
    """Return the sums that a settlement or z file states: one row per tender, heads repeated."""
    found: dict[Day, Totals] = {}
    for row in rows:
        day = (row["till"], row["business_date"])
        head = (int(row["receipts"]), int(row["gross"]), int(row["tax"]))
        totals = found.get(day)
        if totals is None:
            totals = found[day] = Totals(receipts=head[0], gross=head[1], tax=head[2])
        elif (totals.receipts, totals.gross, totals.tax) != head:
            findings.convict("rows of one date contradict each other", where=where, till=day[0], date=day[1])
        totals.states.add(row["state"])
        if row["tender"]:
            totals.tenders[row["tender"]] += int(row["amount"])
    return found


def check(case: Case) -> CheckResult:
    """Judge the settlement of every till and date."""
    findings = Findings(NAME)
    journaled = list(case.posted(case.journaled()))
    sums = add_up(journaled)
    typed_till = add_up(case.posted(case.on_tills))
    server = reported(case.evidence.rows("server/settlement.csv"), findings, "server")
    for place, other in (
        ("till rows", typed_till),
        ("server rows", add_up(case.server.receipts)),
        ("server", server),
    ):
        for day in sorted(sums.keys() | other.keys()):
            _agree(findings, place, day, sums.get(day), other.get(day))
    expected = {(till, date) for till, date in case.meta.expected_z}
    _states(findings, server, expected, _uncovered(case, journaled))
    _dates(findings, case)
    _z_reports(findings, case, expected)
    _openings(findings, case)
    _answers(findings, case)
    dates = len(sums)
    gross = sum(totals.gross for totals in sums.values())
    findings.figures["gross_minor"] = gross
    return findings.result(f"{dates} till dates add up: entries = rows = server = Z, {gross} minor units")


def _agree(findings: Findings, place: str, day: Day, entries: Totals | None, other: Totals | None) -> None:
    ours, theirs = (entries or Totals()).sums(), (other or Totals()).sums()
    if entries is not None and other is None:
        findings.convict(f"{place}: a date is missing", till=day[0], date=day[1], expected=str(ours))
        return
    for name, value in ours.items():
        findings.differ(f"{place}: {name} against entries", value, theirs[name], till=day[0], date=day[1])


def _covered(case: Case, key: JournalKey, seq: int) -> dict[JournalKey, int]:
    """Return journal -> the last sequence of it that a till knew at a place of its journal."""
    found = {key: seq}
    while True:
        first = next(iter(case.journals.get(key, ())), None)
        if first is None or not isinstance(first.content, Continued):
            return found
        key = (key[0], first.content.incarnation)
        if key in found:
            return found
        found[key] = first.content.seq


def _uncovered(case: Case, journaled: list[Receipt]) -> dict[Day, bool]:
    """Return the dates with receipts that no Z covers, and whether a lost disk or a copy explains them all."""
    covered: dict[Day, dict[JournalKey, int]] = {}
    for (till, incarnation), entries in case.journals.items():
        for entry in entries:
            if isinstance(entry.content, DayClosed):
                day = (till, entry.content.business_date)
                covered[day] = _covered(case, (till, incarnation), entry.seq)
    explained = {(receipt.till, receipt.op_id) for receipt in case.declared.receipts_gone()}
    for clone in case.meta.clones:
        explained |= {(receipt.till, receipt.op_id) for receipt in case.tills[clone.name].receipts}
    found: dict[Day, bool] = {}
    for receipt in journaled:
        day = (receipt.till, receipt.business_date)
        known = covered.get(day)
        if known is not None and receipt.seq > known.get((receipt.till, receipt.incarnation), 0):
            found[day] = found.get(day, True) and (receipt.till, receipt.op_id) in explained
    return found


def _states(
    findings: Findings,
    server: dict[Day, Totals],
    expected: set[Day],
    uncovered: dict[Day, bool],
) -> None:
    """Every date that was to be closed is tallied; a date that stays open is no failure of the sync.

    A date with receipts that its Z can't know of, since a disk lost them or a copy made them, is restated.
    """
    for day in sorted(expected - server.keys()):
        findings.convict("no settlement of a closed date", till=day[0], date=day[1])
    for day, totals in sorted(server.items()):
        good = {"RESTATED"} if uncovered.get(day) else {"TALLIED"}
        allowed = good if day in expected else good | {"OPEN"}
        findings.checked += 1
        if not totals.states <= allowed:
            findings.convict("not tallied", till=day[0], date=day[1], state=str(sorted(totals.states)))


def _dates(findings: Findings, case: Case) -> None:
    """The business date moves with the day's opening and closing only."""
    for one in misdated(case.journals):
        what = "a receipt" if isinstance(one.content, Receipt) else "a Z report"
        findings.convict(
            f"{what} of a date that was not open", till=one.key[0], seq=one.seq, date=one.content.business_date,
            open_date=str(one.open_date),
        )  # fmt: skip


def _z_entries(case: Case) -> Iterator[tuple[str, DayClosed, list[Entry]]]:
    """Yield till, Z and the entries before it, oldest first, for each Z in a till's journal.

    What its journal continues comes before it, as far as the till knew it.
    """
    for (till, incarnation), entries in sorted(case.journals.items()):
        for entry in entries:
            if isinstance(entry.content, DayClosed):
                covered = _covered(case, (till, incarnation), entry.seq - 1)
                yield (
                    till,
                    entry.content,
                    [
                        e
                        for key, end in reversed(covered.items())
                        for e in case.journals.get(key, ())
                        if e.seq <= end
                    ],
                )


def _z_reports(findings: Findings, case: Case, expected: set[Day]) -> None:
    """Recompute each Z from the entries before it, and compare the till's own rows with it."""
    listed: dict[Day, Totals] = {}
    for till in case.till_names:
        listed |= reported(case.evidence.rows(f"tills/{till}/z.csv"), findings, f"till {till}")
    served = dict(_server_z(case, findings))
    left = {(one.till, one.date) for one in case.meta.cleaned}
    found: set[Day] = set()
    for till, z, before in _z_entries(case):
        day = (till, z.business_date)
        where: Where = {"till": till, "date": z.business_date}
        if day in found:
            findings.convict("two Z reports of one date", **where)
        found.add(day)
        _one_z(findings, z, before, where)
        stated: dict[str, Any] = {"receipts": z.sales + z.refunds + z.voids, "gross": z.gross, "tax": z.tax}
        stated["tenders"] = dict(sorted(z.by_tender.items()))
        for place, rows in (("z rows of the till", listed), ("z rows of the server", served)):
            if place.endswith("server") and not case.evidence.has("server/z.csv"):
                continue
            if place.endswith("till") and day in left and day not in listed:
                continue  # its rows left the till with a cleaning; the entry is the server's, under the anchor
            findings.differ(
                f"{place} against the Z entry", stated, rows.get(day, Totals()).sums(zeros=True), **where
            )
    for till, date in sorted(expected - found):
        findings.convict("a Z report is missing", till=till, date=date)
    for till, date in sorted((listed.keys() | served.keys()) - found):
        findings.convict("a Z row has no entry", till=till, date=date)


def _server_z(case: Case, findings: Findings) -> Iterator[tuple[Day, Totals]]:
    yield from reported(case.evidence.rows_if_any("server/z.csv"), findings, "server z").items()


def _one_z(findings: Findings, z: DayClosed, before: list[Entry], where: Where) -> None:
    totals = Totals()
    receipts = [entry.content for entry in before if isinstance(entry.content, Receipt)]
    for receipt in receipts:
        if receipt.business_date == z.business_date:
            totals.add(receipt)
    findings.differ("Z: sales, refunds, voids", [totals.kinds[kind] for kind in ("sale", "refund", "void")],
                    [z.sales, z.refunds, z.voids], **where)  # fmt: skip
    findings.differ("Z: gross", totals.gross, z.gross, **where)
    findings.differ("Z: tax", totals.tax, z.tax, **where)
    tenders = {tender: amount for tender, amount in z.by_tender.items() if amount}
    findings.differ("Z: tenders", totals.sums()["tenders"], dict(sorted(tenders.items())), **where)
    rates = {rate: sums for rate, sums in z.by_rate.items() if sums != (0, 0)}
    findings.differ("Z: tax rates", sorted(totals.rate_sums().items()), sorted(rates.items()), **where)
    ends = (totals.numbers[0], totals.numbers[-1]) if totals.numbers else (None, None)
    findings.differ("Z: first and last receipt", ends, (z.first_receipt, z.last_receipt), **where)
    if before:
        findings.differ("Z: chain head", before[-1].hash, z.chain_head.hex(), **where)


def _openings(findings: Findings, case: Case) -> None:
    """A day that the cashier was told is open is in the journal, as he opened it, unless a lost disk took it."""
    journals = (*case.journals.values(), *case.declared.entries.values())
    opened = {
        entry.content.op_id: entry.content
        for entries in journals
        for entry in entries
        if isinstance(entry.content, DayOpened)
    }
    for op_id, attempts in case.history.of({"open"}).items():
        for attempt in attempts:
            if attempt.result != "ok":
                continue
            where: Where = {"till": attempt.till, "op_id": op_id}
            day = opened.get(op_id)
            if day is None:
                findings.convict("a day's opening was ok, but it is not in the journal", **where)
                continue
            for name in ("business_date", "float_cash"):
                if name in attempt.asked:
                    findings.differ(f"{name} as opened", attempt.asked[name], getattr(day, name), **where)


def _answers(findings: Findings, case: Case) -> None:
    """The Z that the cashier was shown is the one in the journal."""
    entries = {z.op_id: (till, z) for till, z, _ in _z_entries(case)}
    for op_id, attempts in case.history.of({"close"}).items():
        for attempt in attempts:
            if attempt.result != "ok":
                continue
            if op_id not in entries:
                findings.convict("a close was ok, but its Z is not in the journal", op_id=op_id, till=attempt.till)
                continue
            till, z = entries[op_id]
            if "counted_cash" in attempt.asked:
                findings.differ(
                    "cash as counted", attempt.asked["counted_cash"], z.counted_cash, till=till, op_id=op_id
                )
            shown = attempt.answer.get("z") or {}
            findings.differ("till of a close", attempt.till, till, op_id=op_id)
            for name in ("business_date", "sales", "refunds", "voids", "gross", "tax", "counted_cash"):
                if name in shown:
                    findings.differ(f"Z as shown: {name}", getattr(z, name), shown[name], till=till, op_id=op_id)
