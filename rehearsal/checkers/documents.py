"""Documents: what one document changes is seen whole or not at all.

Convicts when two prices whose sum every document keeps are seen with another sum, on a till's screen
during the run, on a receipt that has both, or in any database at the end.
"""

from __future__ import annotations

from rehearsal.checkers.case import Case
from rehearsal.checkers.columns import pick
from rehearsal.checkers.findings import Findings
from rehearsal.checkers.history import EDIT_KINDS
from rehearsal.checkers.payload import Receipt
from rehearsal.model import CheckResult

NAME = "documents"


def check(case: Case) -> CheckResult:
    """Judge the samples of paired prices."""
    findings = Findings(NAME)
    sums = {(a, b): total for a, b, total in case.meta.pairs}
    names = {f"{a}+{b}": total for (a, b), total in sums.items()}
    seen: dict[str, set[tuple[str, str]]] = {}
    for row in case.evidence.rows("samples.csv"):
        if not row["a"] or not row["b"]:
            continue
        if row["pair"] not in names:
            findings.doubt("a sample of an unknown pair", pair=row["pair"])
            continue
        findings.checked += 1
        seen.setdefault(row["pair"], set()).add((row["a"], row["b"]))
        if int(row["a"]) + int(row["b"]) != names[row["pair"]]:
            findings.convict(
                "half a document was seen", till=row["till"], at_ms=row["at_ms"], pair=row["pair"], a=row["a"],
                b=row["b"], sum=names[row["pair"]],
            )  # fmt: skip
    for receipt in case.journaled():
        _receipt(findings, receipt, sums)
    for place in ("opening", "server"):
        _database(findings, case, place, sums)
    edited = _edited(case, sums)
    findings.figures["documents.edited"] = float(edited)
    findings.figures["documents.states_seen"] = float(sum(len(states) for states in seen.values()))
    if not edited:
        findings.doubt("no document changed a pair, so none could be seen half applied")
    elif not any(len(states) > 1 for states in seen.values()):
        findings.doubt("no sample saw a pair change")
    return findings.result(
        f"{findings.checked} looks at paired prices, {edited} documents changed them, none half seen"
    )


def _receipt(findings: Findings, receipt: Receipt, sums: dict[tuple[str, str], int]) -> None:
    """A sale reads its prices from one state."""
    if receipt.kind != "sale":
        return
    prices = {line.sku: line.unit_price for line in receipt.lines}
    for (a, b), total in sums.items():
        if a in prices and b in prices:
            findings.checked += 1
            if prices[a] + prices[b] != total:
                findings.convict(
                    "half a document was sold", till=receipt.till, receipt_no=receipt.receipt_no, pair=f"{a}+{b}",
                    a=prices[a], b=prices[b], sum=total,
                )  # fmt: skip


def _database(findings: Findings, case: Case, place: str, sums: dict[tuple[str, str], int]) -> None:
    """At every instant from which a price of a pair holds, the database has both of them or neither."""
    wanted = {sku for pair in sums for sku in pair}
    prices: dict[str, dict[int, int]] = {sku: {} for sku in wanted}
    name = f"{place}/prices.csv"
    columns = ("sku", "valid_from_ms", "amount")
    for sku, since, amount in pick(case.evidence, name, columns) if case.evidence.has(name) else ():
        if sku in wanted:
            prices[sku][int(since)] = int(amount)
    for (a, b), total in sums.items():
        for instant in sorted(prices[a].keys() | prices[b].keys()):
            both = [_at(prices[sku], instant) for sku in (a, b)]
            if None not in both and sum(filter(None, both)) != total:
                findings.convict(
                    "half a document is in a database", where=place, pair=f"{a}+{b}", valid_from_ms=instant,
                    a=both[0], b=both[1], sum=total,
                )  # fmt: skip


def _at(amounts: dict[int, int], instant: int) -> int | None:
    """Return the amount in force at an instant; None before the first."""
    begun = [since for since in amounts if since <= instant]
    return amounts[max(begun)] if begun else None


def _edited(case: Case, sums: dict[tuple[str, str], int]) -> int:
    """Return how many confirmed documents changed both prices of a pair."""
    count = 0
    for attempts in case.history.of(EDIT_KINDS).values():
        if not any(attempt.result == "ok" for attempt in attempts):
            continue
        doc = attempts[0].asked.get("doc") or {}
        skus = {price.get("sku") for price in doc.get("prices", ())}
        count += any(a in skus and b in skus for a, b in sums)
    return count
