"""Prices: every price and tax rate sold at was one that the till could rightly have had at that moment.

Convicts when a line's version never had that price, was not valid yet, was not asked for yet, was known
to be superseded (an edit older than the bound, with the bound's time free of faults since), when a price
that had begun did not flip, or when a till went back to an older version or price.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rehearsal.checkers.case import Case
from rehearsal.checkers.findings import Findings, Where
from rehearsal.checkers.payload import Line, Receipt
from rehearsal.checkers.timeline import STD, Key, RowVersion, Timeline, causes_of_rows, read_edits
from rehearsal.checkers.windows import Windows
from rehearsal.model import CheckResult

NAME = "prices"
CLOCK_ERROR_MS = 2000  # how far a till's clock may be off without a fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a sale was made: on the till's clock (from, to), and on the cashier's (asked, answered)."""

    till: str
    from_ms: int
    to_ms: int
    asked_ms: int
    done_ms: int


class Law:
    """What was legal where and when."""

    def __init__(self, case: Case) -> None:
        edits = read_edits(case)
        sold = {line.sku for receipt in case.journaled() for line in receipt.lines}
        self.prices = Timeline(case, edits, "price", opening_of=sold, lost=True)
        self.products = Timeline(case, edits, "product", opening_of=sold, lost=True)
        codes = {
            values["tax_code"] for rows in self.products.by_key.values() for row in rows if (values := row.values)
        }
        self.rates = Timeline(case, edits, "tax_rate", opening_of=codes, lost=True)
        self._causes = {(table, key[0]): op_id for (table, key), op_id in causes_of_rows(case).items()}
        self._windows = Windows(case.meta)
        self._bound_ms = round(case.meta.stale_bound_s * 1000)

    def cause(self, table: str, first: str) -> str:
        """Return an operation that nobody asked for and that wrote a row of this product or code; else nothing."""
        return self._causes.get((table, first), "")

    def must_know(self, row: RowVersion, moment: Moment) -> bool:
        """Say whether a till had the time, free of faults, to learn of an edit before a sale was asked for."""
        return self._windows.calm(moment.till, row.must_ms, moment.asked_ms, self._bound_ms)

    def possible(self, versions: list[RowVersion], moment: Moment) -> list[RowVersion]:
        """Return the versions of a row that a till may have had: asked for, and not surely superseded."""
        known = [row for row in versions if row.may_ms <= moment.done_ms]
        least = max((row.version for row in known if self.must_know(row, moment)), default=0)
        return [row for row in known if row.version >= least]

    def surely_there(self, versions: list[RowVersion], moment: Moment) -> bool:
        """Say whether a till must have had a row, whichever version of it."""
        possible = self.possible(versions, moment)
        return any(self.must_know(row, moment) for row in possible) and all(row.values for row in possible)


def check(case: Case) -> CheckResult:
    """Judge every line sold."""
    findings = Findings(NAME)
    law = Law(case)
    sold = 0
    for (till, _), entries in sorted(case.journals.items()):
        error = CLOCK_ERROR_MS + case.meta.clock_error.get(till, 0)
        floor_ms = 0
        memory = Memory(law)
        for entry in entries:
            receipt = entry.content
            if receipt is None:
                continue
            anew = isinstance(receipt, Receipt) and receipt.anew  # made before what stands above it
            floor_ms = floor_ms if anew else max(floor_ms, receipt.at_ms)
            if not isinstance(receipt, Receipt):
                continue
            moment = _moment(case, receipt, receipt.at_ms if anew else floor_ms, error)
            _clock(findings, receipt, moment, error)
            if receipt.kind != "sale":
                continue
            for line in receipt.lines:
                sold += 1
                findings.checked += 1
                _line(findings, Memory(law) if anew else memory, receipt, line, moment)
    findings.figures["lines"] = float(sold)
    return findings.result(
        f"{sold} lines sold at prices and tax rates legal on their till then", missing_lines=case.history.missing
    )


def _moment(case: Case, receipt: Receipt, floor_ms: int, error_ms: int) -> Moment:
    """The instant used for prices never goes back, so it is at least the latest that the till recorded."""
    since_ms = case.declared.sold_anew_ms(receipt)
    attempts = [one for one in case.history.by_op.get(receipt.op_id, ()) if one.at_ms >= since_ms]
    asked = min((attempt.at_ms for attempt in attempts), default=receipt.at_ms)
    done = [attempt.done_ms for attempt in attempts if attempt.result == "ok" and attempt.done_ms is not None]
    return Moment(
        till=receipt.till,
        from_ms=floor_ms - CLOCK_ERROR_MS,
        to_ms=floor_ms + error_ms,
        asked_ms=asked,
        done_ms=min(done, default=max(asked, receipt.at_ms) + error_ms),
    )


def _clock(findings: Findings, receipt: Receipt, moment: Moment, error_ms: int) -> None:
    """A receipt says when it was made: not before it was asked for, nor after it was answered."""
    if not moment.asked_ms - error_ms <= receipt.at_ms <= moment.done_ms + error_ms:
        findings.convict(
            "a receipt's time is not when it was made", till=receipt.till, receipt_no=receipt.receipt_no,
            at_ms=receipt.at_ms, asked_ms=moment.asked_ms, answered_ms=moment.done_ms,
        )  # fmt: skip


class Memory:
    """What a till has shown to know: it never goes back."""

    def __init__(self, law: Law) -> None:
        self.law = law
        self._version: dict[Key, int] = {}
        self._latest: dict[str, Key] = {}

    def faults(self, row: RowVersion, moment: Moment) -> Iterator[str]:
        """Yield how a price that was used goes back behind an earlier one, and remember it."""
        sku = row.key[0]
        if row.lost:
            return  # the next server never had it, so the till may go back behind it
        if row.version < self._version.get(row.key, 0):
            yield f"went back from version {self._version[row.key]} of that price"
        self._version[row.key] = max(row.version, self._version.get(row.key, 0))
        latest = self._latest.get(sku, row.key)
        if int(row.key[2]) < int(latest[2]):
            others = self.law.prices.by_key[latest]
            gone = any(other.values is None and other.may_ms <= moment.done_ms for other in others)
            gone = gone or all(other.lost for other in others)  # no server has it any more
            if not gone:
                yield f"flipped back behind the price valid from {latest[2]}"
        else:
            self._latest[sku] = row.key


def _line(findings: Findings, memory: Memory, receipt: Receipt, line: Line, moment: Moment) -> None:
    law = memory.law
    where: Where = {
        "till": receipt.till, "receipt_no": receipt.receipt_no, "sku": line.sku, "unit_price": line.unit_price,
        "version": line.price_version, "at_ms": receipt.at_ms,
    }  # fmt: skip
    rows = [row for key in law.prices.keys_of.get(line.sku, ()) if key[1] == STD for row in law.prices.by_key[key]]
    fitting = [
        row for row in rows if row.version == line.price_version and row.values == {"amount": str(line.unit_price)}
    ]
    if not fitting:
        cause = law.cause("price", line.sku) or f"price {line.sku} {line.price_version} {line.unit_price}"
        findings.unexplained("a price that nobody set", cause=cause, **where)
    else:
        objections = [(row, _objection(law, row, moment)) for row in fitting]
        legal = [row for row, objection in objections if not objection]
        if not legal:
            findings.convict(str(objections[0][1]), valid_from_ms=objections[0][0].key[2], **where)
        elif len(fitting) == 1:
            for fault in memory.faults(legal[0], moment):
                findings.convict(fault, **where)
    _tax(findings, law, line, moment, where)


def _objection(law: Law, row: RowVersion, moment: Moment) -> str:
    """Return why a till could not rightly use a price row at a moment; empty when it could."""
    since = int(row.key[2])
    if since > moment.to_ms:
        return "a price that was not valid yet"
    if row.may_ms > moment.done_ms:
        return "a price before anybody asked for it"
    if row not in law.possible(law.prices.by_key[row.key], moment):
        return "a superseded version of the price"
    for key in law.prices.keys_of[row.key[0]]:
        begun = key[1] == row.key[1] and since < int(key[2]) <= moment.from_ms
        if begun and law.surely_there(law.prices.by_key[key], moment):
            return f"an older price, though the one valid from {key[2]} had been received"
    return ""


def _tax(findings: Findings, law: Law, line: Line, moment: Moment, where: Where) -> None:
    """The product was for sale, and its rate is one that the till may have had."""
    products = law.products.by_key.get((line.sku,), [])
    if not products:
        cause = law.cause("product", line.sku) or f"product {line.sku}"
        findings.unexplained("a product that nobody made", cause=cause, **where)
        return
    sold = [row.values for row in law.possible(products, moment) if row.values and row.values.get("active") != "0"]
    if not sold:
        findings.convict("a product that had been withdrawn", **where)
        return
    rates = {
        int(row.values["rate_bp"])
        for values in sold
        for row in law.possible(law.rates.by_key.get((values["tax_code"],), []), moment)
        if row.values
    }
    if line.tax_rate_bp not in rates:
        codes = [values["tax_code"] for values in sold]
        suspects = [law.cause("product", line.sku), *(law.cause("tax_rate", code) for code in codes)]
        cause = next(filter(None, suspects), f"rate {line.sku} {line.tax_rate_bp}")
        findings.unexplained(
            "a tax rate that was not in force",
            cause=cause,
            rate=line.tax_rate_bp,
            legal=str(sorted(rates)),
            **where,
        )
