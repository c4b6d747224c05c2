"""Receipts: every sale the cashier saw is exactly once on its till and on the server; nothing else is.

Convicts when an `ok` is missing or doubled, a `fail` left something behind, till set and server set
differ after the drain, anything is invented, or a receipt number repeats or is skipped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from rehearsal.checkers.case import Case
from rehearsal.checkers.findings import Findings, Where
from rehearsal.checkers.history import PASSING, RECEIPT_KINDS, REUSED, Attempt, refused_again
from rehearsal.checkers.payload import Continued, Receipt
from rehearsal.model import CheckResult, Loss

NAME = "receipts"


def _by_op(receipts: Iterable[Receipt]) -> dict[str, list[Receipt]]:
    found: dict[str, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        found[receipt.op_id].append(receipt)
    return found


def check(case: Case) -> CheckResult:
    """Judge the sets of receipts of cashiers, tills and server."""
    findings = Findings(NAME)
    history = case.history
    operations = history.of(RECEIPT_KINDS)
    tills, server = _by_op(case.on_tills), _by_op(case.server.receipts)
    lost, gone = case.declared.lost, _by_op(case.declared.receipts_gone())
    for op_id, asked in operations.items():
        findings.checked += 1
        on_till, on_server = tills.get(op_id, []), server.get(op_id, [])
        attempts = asked
        if op_id in lost:
            attempts = _after_loss(findings, asked, lost[op_id], [*on_till, *on_server])
        if attempts:
            printed: set[str] = set()
            if op_id in gone:
                on_till = _sold_anew(on_till, gone[op_id])
                printed = {receipt.receipt_no for receipt in on_server}
                attempts = _told_anew(findings, case, attempts, on_till, on_server)
            elif (on_till or on_server) and (refused := refused_again(attempts)):
                findings.convict(
                    "refused when it was asked again, but it was kept", code=refused.code, **_where(refused)
                )
            _answers(findings, attempts)
            _outcome(findings, attempts, on_till, on_server, printed)
    for op_id in sorted(lost.keys() - operations.keys()):
        findings.convict(
            "a declared loss that nobody asked for", op_id=op_id, receipt_no=lost[op_id][1].receipt_no
        )
    _sets(findings, tills, server)
    _invented(findings, case, tills, server)
    _numbers(findings, case)
    ok = sum(any(attempt.result == "ok" for attempt in attempts) for attempts in operations.values())
    if operations and not ok:
        findings.doubt("no sale succeeded, so nothing shows that one would be kept")
    return findings.result(
        f"{ok} receipts that a cashier saw are once on their till and once on the server",
        missing_lines=history.missing,
    )


def _where(attempt: Attempt) -> Where:
    return {"op_id": attempt.op_id, "till": attempt.till, "worker": attempt.worker, "line": attempt.n}


def _after_loss(
    findings: Findings, attempts: tuple[Attempt, ...], declared: tuple[Loss, Receipt], there: list[Receipt]
) -> tuple[Attempt, ...]:
    """Return the attempts made after a declared loss: what was lost is gone, unless it was asked for anew."""
    loss, _ = declared
    later = tuple(attempt for attempt in attempts if attempt.at_ms >= loss.at_ms)
    if there and not later:
        findings.convict(
            "declared lost, but it is there", loss=loss.kind, receipt_no=there[0].receipt_no, **_where(attempts[0])
        )
    return later


def _sold_anew(on_till: list[Receipt], gone: list[Receipt]) -> list[Receipt]:
    """Return what the till itself has: one that forgot a receipt with its disk sells it anew when asked again."""
    before = {receipt.incarnation for receipt in gone}
    return [receipt for receipt in on_till if receipt.incarnation not in before] or on_till


def _told_anew(
    findings: Findings, case: Case, attempts: tuple[Attempt, ...], on_till: list[Receipt],
    on_server: list[Receipt],
) -> tuple[Attempt, ...]:  # fmt: skip
    """Return the attempts that a receipt sold anew answers; what was told before only the server can have."""
    since_ms = max((case.declared.sold_anew_ms(receipt) for receipt in on_till), default=0)
    before = tuple(attempt for attempt in attempts if attempt.at_ms < since_ms)
    later = attempts[len(before) :]
    if not later:
        return attempts
    if before:
        _answers(findings, before)
    first = next((attempt for attempt in before if attempt.result == "ok"), None)
    if first is not None:
        posted = [receipt for receipt in on_server if receipt.counts]
        _kept(findings, first, {"server": posted}, {receipt.receipt_no for receipt in on_server})
    return later


def _answers(findings: Findings, attempts: tuple[Attempt, ...]) -> None:
    """Same id and same request: the same receipt; same id and another request: operation_reused."""
    if len({attempt.till for attempt in attempts}) > 1:
        findings.doubt("the cashiers used one op id on two tills", **_where(attempts[0]))
    if len(attempts) == 1 and attempts[0].result == "fail" and attempts[0].code in REUSED:
        findings.convict("a new operation is refused as used before", **_where(attempts[0]))
    first_ok = next((attempt for attempt in attempts if attempt.result == "ok"), None)
    if first_ok is None:
        return
    for attempt in attempts:
        if attempt.at_ms < (first_ok.done_ms or 0):
            continue  # the first itself, or asked before its answer: either may have come first
        if attempt.edited and not first_ok.edited:
            _edited(findings, attempt)
        elif attempt.edited == first_ok.edited:
            _repeated(findings, attempt, first_ok)


def _edited(findings: Findings, attempt: Attempt) -> None:
    if attempt.result == "ok":
        findings.convict("an edited basket was accepted under a used op id", **_where(attempt))
    elif attempt.result == "fail" and attempt.code not in REUSED | PASSING:
        what = "an edited basket was refused, but not as operation_reused"
        findings.convict(what, code=attempt.code, **_where(attempt))


def _repeated(findings: Findings, attempt: Attempt, first_ok: Attempt) -> None:
    if attempt.result == "fail" and attempt.code not in PASSING:
        findings.convict("a repeated operation is refused after it was ok", code=attempt.code, **_where(attempt))
    elif attempt.result == "ok":
        for name in ("receipt_no", "gross"):
            first, again = first_ok.answer.get(name), attempt.answer.get(name)
            findings.differ(f"a repeat got another {name}", first, again, **_where(attempt))


def _outcome(
    findings: Findings, attempts: tuple[Attempt, ...], on_till: list[Receipt], on_server: list[Receipt],
    printed: set[str],
) -> None:  # fmt: skip
    """Compare what the cashier was told with what the databases hold; `printed`: numbers of one sale."""
    till, where = attempts[0].till, _where(attempts[0])
    posted = [receipt for receipt in on_server if receipt.counts]
    for receipt in (*on_till, *on_server):
        if receipt.till != till:
            findings.convict("a receipt is another till's", found=receipt.till, **where)
        if receipt.kind != attempts[0].f:
            findings.convict("a receipt is of another kind", found=receipt.kind, **where)
    refused = all(attempt.result == "fail" for attempt in attempts)
    for place, receipts in (("till", on_till), ("server", posted)):
        if refused and receipts:
            findings.convict(f"refused, but on the {place}", receipt_no=receipts[0].receipt_no, **where)
        elif len(receipts) > 1:
            findings.convict(f"more than once on the {place}", times=len(receipts), **where)
    answered = next((attempt for attempt in attempts if attempt.result == "ok"), None)
    if answered is not None:
        _kept(findings, answered, {"till": on_till, "server": posted}, printed)


def _kept(findings: Findings, answered: Attempt, places: dict[str, list[Receipt]], printed: set[str]) -> None:
    """What the cashier saw is there, with that amount and under that number (or one of those `printed` for it)."""
    number, where = str(answered.answer.get("receipt_no", "")), _where(answered)
    for place, receipts in places.items():
        if not receipts:
            findings.convict(f"ok, but not on the {place}", receipt_no=number, **where)
        for receipt in receipts[:1]:
            if place == "till" or number not in printed:
                findings.differ(f"answered number is not the {place}'s", receipt.receipt_no, number, **where)
            gross = answered.answer.get("gross")
            findings.differ(f"answered gross is not the {place}'s", receipt.gross, gross, **where)


def _sets(findings: Findings, tills: dict[str, list[Receipt]], server: dict[str, list[Receipt]]) -> None:
    """After the drain the till's set is the server's, whatever the cashier knows."""
    for op_id in sorted(tills.keys() - server.keys()):
        receipt = tills[op_id][0]
        findings.convict("on its till, not on the server", op_id=op_id, receipt_no=receipt.receipt_no)
    for op_id in sorted(server.keys() - tills.keys()):
        receipt = server[op_id][0]
        findings.convict("on the server, not on its till", op_id=op_id, receipt_no=receipt.receipt_no)
    for op_id in tills.keys() & server.keys():
        findings.checked += 1
        ours = sorted((receipt.till, receipt.receipt_no) for receipt in tills[op_id])
        theirs = sorted((receipt.till, receipt.receipt_no) for receipt in server[op_id])
        if ours != theirs:
            findings.convict("till and server differ", op_id=op_id, till=str(ours), server=str(theirs))
        elif not any(receipt.counts for receipt in server[op_id]):
            findings.convict("stored on the server, but never posted", op_id=op_id, receipt_no=ours[0][1])


def _invented(
    findings: Findings, case: Case, tills: dict[str, list[Receipt]], server: dict[str, list[Receipt]]
) -> None:
    """Every receipt goes back to somebody who asked that till for it."""
    for op_id in sorted((tills.keys() | server.keys()) - case.history.of(RECEIPT_KINDS).keys()):
        receipt = (tills.get(op_id) or server[op_id])[0]
        findings.unexplained(
            "a receipt that nobody asked for",
            cause=op_id,
            op_id=op_id,
            till=receipt.till,
            receipt_no=receipt.receipt_no,
        )


def _numbers(findings: Findings, case: Case) -> None:
    """Numbers are used once in the whole chain, and run without gaps within one incarnation."""
    for place, receipts in (("tills", case.on_tills), ("server", case.server.receipts)):
        seen: dict[str, Receipt] = {}
        for receipt in receipts:
            other = seen.setdefault(receipt.receipt_no, receipt)
            if other.op_id != receipt.op_id and not _explained(case, other, receipt):
                findings.convict(
                    f"a receipt number repeats on the {place}",
                    receipt_no=receipt.receipt_no, op_id=receipt.op_id, other_op_id=other.op_id,
                )  # fmt: skip
    for (till, incarnation), entries in sorted(case.journals.items()):
        due = 1
        continues = isinstance(entries[0].content, Continued)
        for entry in entries:
            if not isinstance(entry.content, Receipt) or (entry.content.anew and continues):
                continue
            if entry.content.counter != due:
                findings.convict(
                    "receipt numbers are skipped or repeat", till=till, incarnation=incarnation,
                    expected=due, found=entry.content.counter, seq=entry.seq,
                )  # fmt: skip
            due = entry.content.counter + 1
    if case.meta.losses or case.meta.clones:
        findings.figures["numbers.twice"] = float(_printed_twice(case))


def _explained(case: Case, one: Receipt, other: Receipt) -> bool:
    """Say whether two receipts may carry one number: only one that a lost disk, or a till's copy, printed too.

    Neither the till that was rolled back nor a copy can know what the other has printed, until a server says.
    """
    gone = {(receipt.op_id, receipt.receipt_no) for receipt in case.declared.receipts_gone()}
    if ((one.op_id, one.receipt_no) in gone) != ((other.op_id, other.receipt_no) in gone):
        return True
    for clone in case.meta.clones:
        copied = {receipt.op_id for receipt in case.tills[clone.name].receipts}
        original = {receipt.op_id for receipt in case.tills[clone.till].receipts}
        pair = {one.op_id, other.op_id}
        if clone.till == one.till == other.till and len(pair & (copied - original)) == 1:
            return True
    return False


def _printed_twice(case: Case) -> int:
    """Return how many numbers two receipts carry, those that are lost included."""
    ops: dict[str, set[str]] = defaultdict(set)
    for receipt in (*case.on_tills, *(receipt for _, receipt in case.declared.lost.values())):
        ops[receipt.receipt_no].add(receipt.op_id)
    return sum(len(found) > 1 for found in ops.values())
