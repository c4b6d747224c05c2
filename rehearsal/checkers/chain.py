"""Chain: the bytes are the truth, on both sides, and everything typed follows from them.

Convicts when till bytes differ from server bytes at a sequence, a sequence is missing, a hash does not
follow from the genesis and the bytes, or a typed row says anything else than its entry.
"""

from __future__ import annotations

from collections import defaultdict

from rehearsal.checkers.case import Case, Witness
from rehearsal.checkers.entries import JournalKey, Journals
from rehearsal.checkers.findings import Findings, Where
from rehearsal.checkers.payload import Content, Continued, Receipt
from rehearsal.checkers.rules import AMOUNT_MAX, COUNTER_MAX, QTY_MAX, SEQ_END, SKU_CHARS_MAX, genesis, link
from rehearsal.model import CheckResult, Loss

NAME = "chain"
COMPARED = (
    "till", "incarnation", "receipt_no", "op_id", "kind", "business_date", "at_ms", "cashier", "gross", "tax",
    "ref", "lines", "payments",
)  # fmt: skip


def check(case: Case) -> CheckResult:
    """Judge the journals of tills and server, and the rows derived from them."""
    findings = Findings(NAME)
    ours, theirs = case.till_journals, case.server_journals
    starts = case.anchors
    for key in sorted(ours):
        _unbroken(findings, case, key, "till", starts.get(key))
    for key in sorted(theirs):
        _unbroken(findings, case, key, "server", None)
    _same_bytes(findings, ours, theirs, starts)
    for till, witness in case.tills.items():
        _typed(findings, case.site_journals[till], witness, f"till {till}", frozenset())
        _one_history(findings, till, case.site_journals[till], ours)
    for loss in case.meta.losses:
        _lost(findings, case, loss)
    _typed(findings, theirs, case.server, "server", frozenset(case.set_aside))
    _aside(findings, case)
    count = sum(len(entries) for entries in theirs.values())
    return findings.result(
        f"{count} entries in {len(theirs)} journals: same bytes on till and server, hashes and rows follow"
    )


def _unbroken(findings: Findings, case: Case, key: JournalKey, place: str, anchor: tuple[int, str] | None) -> None:
    """Recompute the hash chain and the sequence from the start."""
    till, incarnation = key
    seq, previous = 0, genesis(case.cluster, till, incarnation)
    if anchor is not None:
        seq, previous = anchor[0], bytes.fromhex(anchor[1])
    for entry in (case.till_journals if place == "till" else case.server_journals)[key]:
        findings.checked += 1
        where: Where = {"where": place, "till": till, "incarnation": incarnation, "seq": entry.seq}
        if entry.seq != seq + 1:
            findings.convict("a sequence is missing or repeats", expected=seq + 1, **where)
            return
        seq, previous = entry.seq, link(previous, entry.payload)
        if previous.hex() != entry.hash:
            findings.convict("hash does not follow from the bytes", **where)
            return
        if entry.error and (till, incarnation, entry.seq) not in case.set_aside:
            findings.convict(f"not an entry ({entry.error})", **where)


def _same_bytes(
    findings: Findings, ours: Journals, theirs: Journals, anchors: dict[JournalKey, tuple[int, str]]
) -> None:
    """Compare till and server at every sequence."""
    for key in sorted(ours.keys() | theirs.keys() | anchors.keys()):
        pruned, pruned_hash = anchors.get(key, (0, ""))
        till = {entry.seq: entry for entry in ours.get(key, ())}
        server = {entry.seq: entry for entry in theirs.get(key, ())}
        where: Where = {"till": key[0], "incarnation": key[1]}
        if pruned and (pruned not in server or server[pruned].hash != pruned_hash):
            findings.convict("the server's hash is not the pruned start's anchor", seq=pruned, **where)
        for seq in sorted(till.keys() | server.keys()):
            if seq <= pruned:
                continue
            findings.checked += 1
            if seq not in server:
                findings.convict("on the till only, from this sequence", seq=seq, **where)
                break
            if seq not in till:
                findings.convict("on the server only, from this sequence", seq=seq, **where)
                break
            if till[seq].payload != server[seq].payload:
                findings.convict("till bytes and server bytes differ", seq=seq, **where)
                break


def _one_history(findings: Findings, place: str, own: Journals, all_tills: Journals) -> None:
    """A till and its copy, or the disk that it had before, hold the same bytes at the same sequence."""
    for key, entries in own.items():
        joint = {entry.seq: entry.payload for entry in all_tills[key]}
        for entry in entries:
            if joint[entry.seq] != entry.payload:
                findings.convict(
                    "other bytes than on the till's copy or lost disk", where=place, till=key[0],
                    incarnation=key[1], seq=entry.seq,
                )  # fmt: skip
                break


def _lost(findings: Findings, case: Case, loss: Loss) -> None:
    """A declared loss is a stretch of a journal, hashed on; the server has none of what did not arrive."""
    where: Where = {"till": loss.till, "incarnation": loss.incarnation, "loss": loss.kind}
    entries = case.declared.entries.get(loss.loss, ())
    findings.differ(
        "a declared loss is not the stretch it says", list(range(loss.kept + 1, loss.head + 1)),
        [entry.seq for entry in entries], **where,
    )  # fmt: skip
    key = (loss.till, loss.incarnation)
    server = {entry.seq: entry for entry in case.server_journals.get(key, ())}
    before = server.get(loss.kept) or next(
        (e for e in case.till_journals.get(key, ()) if e.seq == loss.kept), None
    )
    previous = genesis(case.cluster, *key) if loss.kept == 0 else bytes.fromhex(before.hash) if before else None
    for entry in entries:
        findings.checked += 1
        if previous is not None and link(previous, entry.payload).hex() != entry.hash:
            findings.convict("a declared loss does not follow from the journal", seq=entry.seq, **where)
            return
        previous = bytes.fromhex(entry.hash)
        there = server.get(entry.seq)
        if entry.seq >= loss.missing_from and there is not None and there.payload == entry.payload:
            findings.convict("declared lost, but the server has it", seq=entry.seq, **where)


def _typed(
    findings: Findings, journals: Journals, witness: Witness, place: str, aside: frozenset[tuple[str, str, int]]
) -> None:
    """Compare a database's typed receipts with its entries, both ways."""
    rows: dict[tuple[str, str, str], list[Receipt]] = defaultdict(list)
    for receipt in witness.receipts:
        rows[receipt.till, receipt.incarnation, receipt.op_id].append(receipt)
    for (till, incarnation), entries in sorted(journals.items()):
        for entry in entries:
            if not isinstance(entry.content, Receipt) or (till, incarnation, entry.seq) in aside:
                continue
            said = entry.content
            typed = rows[till, incarnation, said.op_id]
            where: Where = {"where": place, "till": till, "seq": entry.seq, "receipt_no": said.receipt_no}
            if not typed:
                findings.convict("an entry has no typed receipt", **where)
                continue
            row = typed.pop(0)
            for name in COMPARED:
                findings.differ(f"typed {name}", getattr(said, name), getattr(row, name), **where)
    for (till, incarnation, op_id), left in sorted(rows.items()):
        for receipt in left:
            findings.convict(
                "a typed receipt has no entry", where=place, till=till, incarnation=incarnation, op_id=op_id,
                receipt_no=receipt.receipt_no,
            )  # fmt: skip
    for file, till, number in witness.orphans:
        findings.convict(f"{file} of no receipt", where=place, till=till, receipt_no=number)


def _aside(findings: Findings, case: Case) -> None:
    """Only what can't be decoded, does not balance or is out of bounds may be set aside."""
    for (till, incarnation, seq), row in sorted(case.set_aside.items()):
        entries = {entry.seq: entry for entry in case.server_journals.get((till, incarnation), ())}
        entry = entries.get(seq)
        where: Where = {"till": till, "incarnation": incarnation, "seq": seq, "reason": row.get("reason", "")}
        if entry is None:
            findings.convict("set aside, but its bytes are not kept", **where)
        elif _good(entry.content):
            findings.convict("a good entry was set aside", **where)


def _good(content: Content | None) -> bool:
    match content:
        case Receipt():
            return _balances(content) and _bounded(content)
        case Continued():
            return 0 <= content.seq < SEQ_END and len(bytes.fromhex(content.incarnation)) == 16
    return False


def _balances(receipt: Receipt) -> bool:
    paid = sum(payment.amount for payment in receipt.payments)
    taxed = sum(line.tax for line in receipt.lines)
    return receipt.gross == paid == sum(line.amount for line in receipt.lines) and receipt.tax == taxed


def _bounded(receipt: Receipt) -> bool:
    amounts = [receipt.gross, receipt.tax, *(payment.amount for payment in receipt.payments)]
    amounts += [amount for line in receipt.lines for amount in (line.amount, line.tax)]
    lines = all(abs(line.qty) <= QTY_MAX and len(line.sku) <= SKU_CHARS_MAX for line in receipt.lines)
    counted = 1 <= receipt.counter <= COUNTER_MAX
    return counted and lines and all(abs(amount) <= AMOUNT_MAX for amount in amounts)
