"""Money: every receipt is recomputed from the basket that was asked for, to the cent.

Convicts when header, lines, payments or tax of a receipt, on its till or on the server, differ from the
basket and the documented rounding, when it is on another cashier's name, when a refund or void does not mirror
its original, or when a till gives more back of its own receipt, or in the end other money, than was paid.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

from rehearsal.checkers.case import Case
from rehearsal.checkers.findings import Findings, Where
from rehearsal.checkers.history import RECEIPT_KINDS, Attempt
from rehearsal.checkers.payload import Line, Receipt
from rehearsal.checkers.rules import amount_of, tax_in
from rehearsal.model import CheckResult

NAME = "money"
Place = tuple[str, int, int, int]  # SKU, unit price, its version, tax rate


class Back(NamedTuple):
    """What lines of one place come to: quantity, price with no discount taken off, discount."""

    qty: int = 0
    full: int = 0
    discount: int = 0


Given = dict[tuple[str, Place], Back]  # receipt number and place -> what its own till gave back


def check(case: Case) -> CheckResult:
    """Judge the amounts of every stored receipt."""
    findings = Findings(NAME)
    operations = case.history.of(RECEIPT_KINDS)
    places = [(f"till {till}", witness.receipts) for till, witness in case.tills.items()]
    originals = _originals(case)
    given = _given_back(case, originals)
    evened = _evened(case, given, originals)
    for place, receipts in (*places, ("server", case.server.receipts)):
        for receipt in receipts:
            where: Where = {"where": place, "receipt_no": receipt.receipt_no, "op_id": receipt.op_id}
            for name, expected, found in _sums(receipt, evened):
                findings.differ(name, expected, found, **where)
            if receipt.counts:
                _asked(findings, _binding(case, operations.get(receipt.op_id, ())), receipt, where)
            if receipt.kind != "sale":
                _mirror(findings, receipt, originals, where)
    _given_back_once(findings, given, originals)
    _voided_once(findings, case, originals)
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
    wanted = {_place(line) for line in receipt.lines}
    for candidate in candidates:
        if wanted <= {_place(line) for line in candidate.lines}:
            return candidate
    return candidates[-1] if candidates else None


def _place(line: Line) -> Place:
    return line.sku, line.unit_price, line.price_version, line.tax_rate_bp


def _sums(receipt: Receipt, evened: set[tuple[str, Place]]) -> Iterator[tuple[str, object, object]]:
    """Yield what a receipt must say about itself: name, expected, found."""
    for place, line in enumerate(receipt.lines, 1):
        yield "line number", place, line.line_no
        amount = amount_of(line.qty, line.unit_price, line.discount)
        if (receipt.op_id, _place(line)) not in evened:
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
    if attempt.asked.get("by", receipt.cashier) != receipt.cashier:
        yield "cashier", attempt.asked["by"], receipt.cashier
    if receipt.kind == "void":
        number = basket.get("receipt_no") or attempt.asked.get("receipt_no")
        if number != receipt.ref:
            yield "receipt that is voided", number, receipt.ref
        yield from _answered(attempt, receipt)
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
    sold = {_place(line) for line in original.lines}
    for line in receipt.lines:
        if _place(line) not in sold:
            findings.convict(
                "refund of what was not sold so",
                ref=receipt.ref,
                sku=line.sku,
                unit_price=line.unit_price,
                **where,
            )
        if line.qty >= 0:
            findings.convict("refund that gives nothing back", sku=line.sku, qty=line.qty, **where)


def _given_back(case: Case, originals: dict[str, tuple[Receipt, ...]]) -> Given:
    """Return what tills gave back of their own receipts; another till's they can't know about while offline."""
    given: Given = defaultdict(Back)
    for receipt in _taking_own(case, originals):
        for line in receipt.lines:
            given[receipt.ref, _place(line)] = _less(given[receipt.ref, _place(line)], line)
    return given


def _evened(case: Case, given: Given, originals: dict[str, tuple[Receipt, ...]]) -> set[tuple[str, Place]]:
    """Return (op id, place) of the refunds that used a place up: there the rounding of parts is evened out."""
    return {
        (receipt.op_id, _place(line))
        for receipt in _taking_own(case, originals)
        for line in receipt.lines
        if given[receipt.ref, _place(line)].full >= _sold(originals, (receipt.ref, _place(line))).full
    }


def _taking_own(case: Case, originals: dict[str, tuple[Receipt, ...]]) -> Iterator[Receipt]:
    """Yield the refunds and voids of receipts of the same till."""
    for receipt in case.on_tills:
        original = _original_of(receipt, originals)
        if receipt.kind != "sale" and original is not None and original.till == receipt.till:
            yield receipt


def _less(back: Back, line: Line) -> Back:
    return Back(back.qty - line.qty, back.full - line.amount - line.discount, back.discount - line.discount)


def _sold(originals: dict[str, tuple[Receipt, ...]], at: tuple[str, Place]) -> Back:
    """Return what was sold on a receipt at a place."""
    ref, place = at
    lines = [line for original in originals[ref] for line in original.lines if _place(line) == place]
    return Back(
        sum(line.qty for line in lines), sum(line.amount + line.discount for line in lines),
        sum(line.discount for line in lines),
    )  # fmt: skip


def _given_back_once(findings: Findings, given: Given, originals: dict[str, tuple[Receipt, ...]]) -> None:
    """A till gives back its own receipts once, and all the money with the last piece."""
    for (ref, place), back in given.items():
        sold = _sold(originals, (ref, place))
        where: Where = {"ref": ref, "sku": place[0]}
        findings.checked += 1
        if back.qty > sold.qty:
            findings.convict("more given back than was sold", sold=sold.qty, given_back=back.qty, **where)
        paid, refunded = sold.full - sold.discount, back.full - back.discount
        if refunded > paid:
            findings.convict("more money given back than was paid", paid=paid, given_back=refunded, **where)
        elif back.qty == sold.qty and refunded < paid:
            findings.convict("all given back but not all the money", paid=paid, given_back=refunded, **where)


def _voided_once(findings: Findings, case: Case, originals: dict[str, tuple[Receipt, ...]]) -> None:
    """A till voids a receipt once."""
    voids: dict[str, list[str]] = defaultdict(list)
    for receipt in _taking_own(case, originals):
        if receipt.kind == "void":
            voids[receipt.ref].append(receipt.receipt_no)
    for ref, numbers in voids.items():
        if len(numbers) > 1:
            findings.convict("voided more than once", ref=ref, voids=str(numbers))
