"""Money: every receipt is recomputed from the basket that was asked for, to the cent.

Convicts when header, lines, payments or tax of a receipt, on its till or on the server, differ from the
basket and the documented rounding, or when a refund or void does not mirror its original.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from rehearsal.checkers.case import Case
from rehearsal.checkers.findings import Findings, Where
from rehearsal.checkers.history import RECEIPT_KINDS, Attempt
from rehearsal.checkers.payload import Receipt
from rehearsal.checkers.rules import amount_of, tax_in
from rehearsal.model import CheckResult

NAME = "money"


def check(case: Case) -> CheckResult:
    """Judge the amounts of every stored receipt."""
    findings = Findings(NAME)
    operations = case.history.of(RECEIPT_KINDS)
    places = [(f"till {till}", witness.receipts) for till, witness in case.tills.items()]
    originals = _originals(case)
    for place, receipts in (*places, ("server", case.server.receipts)):
        for receipt in receipts:
            where: Where = {"where": place, "receipt_no": receipt.receipt_no, "op_id": receipt.op_id}
            for name, expected, found in _sums(receipt):
                findings.differ(name, expected, found, **where)
            if receipt.counts:
                _asked(findings, _binding(case, operations.get(receipt.op_id, ())), receipt, where)
            if receipt.kind != "sale":
                _mirror(findings, receipt, originals, where)
    _given_back_once(findings, case, originals)
    count = len(case.on_tills)
    return findings.result(f"{count} receipts recomputed from their baskets, on till and server, to the cent")


def _originals(case: Case) -> dict[str, tuple[Receipt, ...]]:
    """Return number -> the receipts that carry it: one, but for those that a lost disk or a copy printed too."""
    found: dict[str, dict[str, Receipt]] = defaultdict(dict)
    lost = (receipt for _, receipt in case.declared.lost.values())
    for receipt in (*lost, *case.server.receipts, *case.on_tills):
        found[receipt.receipt_no][receipt.op_id] = receipt
    return {number: tuple(receipts.values()) for number, receipts in found.items()}


def _original_of(receipt: Receipt, originals: dict[str, tuple[Receipt, ...]]) -> Receipt | None:
    """Return the receipt that one gives back: of two with that number, the one that has its articles."""
    candidates = originals.get(receipt.ref, ())
    wanted = {(line.sku, line.unit_price, line.price_version, line.tax_rate_bp) for line in receipt.lines}
    for candidate in candidates:
        sold = {(line.sku, line.unit_price, line.price_version, line.tax_rate_bp) for line in candidate.lines}
        if wanted <= sold:
            return candidate
    return candidates[-1] if candidates else None


def _sums(receipt: Receipt) -> Iterator[tuple[str, object, object]]:
    """Yield what a receipt must say about itself: name, expected, found."""
    for place, line in enumerate(receipt.lines, 1):
        yield "line number", place, line.line_no
        amount = amount_of(line.qty, line.unit_price, line.discount)
        yield f"amount of line {place}", amount, line.amount
        yield f"tax of line {place}", tax_in(line.amount, line.tax_rate_bp), line.tax
    for place, payment in enumerate(receipt.payments, 1):
        yield "payment number", place, payment.n
    yield "gross against lines", sum(line.amount for line in receipt.lines), receipt.gross
    yield "tax against lines", sum(line.tax for line in receipt.lines), receipt.tax
    yield "payments against gross", receipt.gross, sum(payment.amount for payment in receipt.payments)
    if not receipt.lines:
        yield "number of lines", "at least 1", 0


def _asked(
    findings: Findings, attempts: tuple[Attempt, ...], receipt: Receipt, where: Where
) -> None:  # fmt: skip
    """Compare a receipt with what was asked: every ok answer binds, else one open attempt must explain it."""
    bound = [attempt for attempt in attempts if attempt.result == "ok"]
    for attempt in bound:
        findings.checked += 1
        for name, expected, found in _differences(attempt, receipt):
            findings.convict(name, expected=str(expected), found=str(found), line=attempt.n, **where)
    perhaps = [attempt for attempt in attempts if attempt.result == "info"]
    if bound or not perhaps:
        return
    findings.checked += 1
    reasons = [list(_differences(attempt, receipt)) for attempt in perhaps]
    if all(reasons):
        name, expected, found = reasons[0][0]
        findings.convict(f"no basket explains it: {name}", expected=str(expected), found=str(found), **where)


def _binding(case: Case, attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """Return the attempts that bind a receipt: those made after a declared loss, where one took the first."""
    if not attempts or attempts[0].op_id not in case.declared.lost:
        return attempts
    loss, _ = case.declared.lost[attempts[0].op_id]
    return tuple(attempt for attempt in attempts if attempt.at_ms >= loss.at_ms)


def _differences(attempt: Attempt, receipt: Receipt) -> Iterator[tuple[str, object, object]]:
    """Yield where a receipt is not what an attempt asked for: name, expected, found."""
    basket: dict[str, Any] = attempt.asked.get("basket") or {}
    if receipt.kind == "void":
        number = basket.get("receipt_no") or attempt.asked.get("receipt_no")
        if number != receipt.ref:
            yield "receipt that is voided", number, receipt.ref
        return
    sign = -1 if receipt.kind == "refund" else 1
    if receipt.kind == "refund" and basket.get("receipt_no") != receipt.ref:
        yield "receipt that is refunded", basket.get("receipt_no"), receipt.ref
    names: tuple[str, ...] = ("sku", "qty", "discount")
    if sign < 0:
        names = (*names, "unit_price", "price_version", "tax_rate_bp")
    lines = basket.get("lines", ())
    asked = [tuple(_signed(line, name, sign) for name in names) for line in lines]
    stored = [tuple(getattr(line, name) for name in names) for line in receipt.lines]
    if asked != stored:
        yield "lines asked for", asked, stored
    yield from _payments(basket, receipt, sign)
    yield from _answered(attempt, receipt)


def _signed(line: dict[str, Any], name: str, sign: int) -> Any:
    value = line.get(name, 0)
    return sign * value if name in ("qty", "discount") else value


def _payments(basket: dict[str, Any], receipt: Receipt, sign: int) -> Iterator[tuple[str, object, object]]:
    """A payment without an amount takes the rest; one of nothing may be left out."""
    asked = [(payment["tender"], payment.get("amount")) for payment in basket.get("payments", ())]
    given = sum(amount for _, amount in asked if amount is not None)
    rest = sign * receipt.gross - given
    expected = [(tender, sign * (rest if amount is None else amount)) for tender, amount in asked]
    found = [(payment.tender, payment.amount) for payment in receipt.payments]
    if [item for item in expected if item[1]] != [item for item in found if item[1]]:
        yield "payments asked for", expected, found


def _answered(attempt: Attempt, receipt: Receipt) -> Iterator[tuple[str, object, object]]:
    """Compare what the till answered, as far as the history kept it."""
    answer = attempt.answer
    for name in ("gross", "tax"):
        if name in answer and answer[name] != getattr(receipt, name):
            yield f"answered {name}", getattr(receipt, name), answer[name]
    if "lines" in answer:
        stored = [line._asdict() for line in receipt.lines]
        if len(stored) != len(answer["lines"]) or any(
            line.get(name, value) != value
            for line, kept in zip(answer["lines"], stored, strict=True)
            for name, value in kept.items()
        ):
            yield "answered lines", stored, answer["lines"]
    if "payments" in answer:
        kept_payments = [(payment.tender, payment.amount) for payment in receipt.payments]
        told = [(payment["tender"], payment["amount"]) for payment in answer["payments"]]
        if kept_payments != told:
            yield "answered payments", kept_payments, told


def _mirror(findings: Findings, receipt: Receipt, originals: dict[str, tuple[Receipt, ...]], where: Where) -> None:
    """What is given back was sold, at that price and tax."""
    findings.checked += 1
    original = _original_of(receipt, originals)
    if original is None:
        findings.convict(f"{receipt.kind} of a receipt that does not exist", ref=receipt.ref, **where)
        return
    if original.kind != "sale":
        findings.convict(f"{receipt.kind} of a {original.kind}", ref=receipt.ref, **where)
        return
    if receipt.kind == "void":
        back = [
            line._replace(qty=-line.qty, discount=-line.discount, tax=-line.tax, amount=-line.amount)
            for line in receipt.lines
        ]
        findings.differ("void against its original's lines", list(original.lines), back, **where)
        paid = [(payment.tender, -payment.amount) for payment in receipt.payments]
        kept = [(payment.tender, payment.amount) for payment in original.payments]
        findings.differ("void against its original's payments", kept, paid, **where)
        findings.differ("void against its original's date", original.business_date, receipt.business_date, **where)
        return
    sold = {(line.sku, line.unit_price, line.price_version, line.tax_rate_bp) for line in original.lines}
    for line in receipt.lines:
        if (line.sku, line.unit_price, line.price_version, line.tax_rate_bp) not in sold:
            findings.convict(
                "refund of what was not sold so",
                ref=receipt.ref,
                sku=line.sku,
                unit_price=line.unit_price,
                **where,
            )
        if line.qty >= 0:
            findings.convict("refund that gives nothing back", sku=line.sku, qty=line.qty, **where)


def _given_back_once(findings: Findings, case: Case, originals: dict[str, tuple[Receipt, ...]]) -> None:
    """A till gives back its own receipts once; another till's it can't know about while offline."""
    given: dict[tuple[str, str], int] = defaultdict(int)
    voids: dict[str, list[str]] = defaultdict(list)
    for receipt in case.on_tills:
        original = _original_of(receipt, originals)
        if receipt.kind == "sale" or original is None or original.till != receipt.till:
            continue
        if receipt.kind == "void":
            voids[receipt.ref].append(receipt.receipt_no)
        for line in receipt.lines:
            given[receipt.ref, line.sku] -= line.qty
    for (ref, sku), qty in given.items():
        findings.checked += 1
        sold = sum(line.qty for original in originals[ref] for line in original.lines if line.sku == sku)
        if qty > sold:
            findings.convict("more given back than was sold", ref=ref, sku=sku, sold=sold, given_back=qty)
    for ref, numbers in voids.items():
        if len(numbers) > 1:
            findings.convict("voided more than once", ref=ref, voids=str(numbers))
