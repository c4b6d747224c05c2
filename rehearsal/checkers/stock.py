"""Stock: opening + received - returned + counted - sold + given back is what server and tills show.

Convicts when any product's stock differs from that sum, which is taken from the clerks' history and the
tills' receipts, not from the server's own documents.
"""

from __future__ import annotations

from collections import Counter

from rehearsal.checkers.case import Case
from rehearsal.checkers.columns import pick
from rehearsal.checkers.findings import Findings
from rehearsal.checkers.timeline import Edit, read_edits, strange_operations
from rehearsal.model import CheckResult

NAME = "stock"
SIGN = {"goods_receipt": 1, "vendor_return": -1}


def _stock(case: Case, name: str) -> Counter[str]:
    return Counter({sku: int(qty) for sku, qty in pick(case.evidence, name, ("sku", "qty"))})


def check(case: Case) -> CheckResult:
    """Judge the stock of every product."""
    findings = Findings(NAME)
    edits = read_edits(case)
    strange = min(strange_operations(case), default="")
    expected = _stock(case, "opening/stock.csv")
    for edit in edits:
        if edit.happened and edit.kind in SIGN:
            for line in (edit.attempts[0].asked.get("doc") or {}).get("lines", ()):
                expected[str(line["sku"])] += SIGN[edit.kind] * int(line["qty"])
    _counted(findings, case, edits, expected, strange)
    for receipt in case.posted(case.on_tills):
        for sold in receipt.lines:
            expected[sold.sku] -= sold.qty
    server = "server/stock.csv"
    places = {server: "server"} | {f"tills/{till}/stock.csv": f"till {till}" for till in case.till_names}
    sound: set[bytes] = set()
    for file, place in places.items():
        digest = case.text_digest(file)
        findings.checked += len(expected)
        if digest in sound:
            continue  # the same text as a file that was in order
        if not _compare(findings, expected, _stock(case, file), place, strange):
            sound.add(digest)
    many = len(places) - 1
    return findings.result(
        f"stock of {len(expected)} products is the sum of its movements, on the server and {many} tills",
        missing_lines=case.history.missing if strange else 0,
    )


def _compare(findings: Findings, expected: Counter[str], found: Counter[str], place: str, strange: str) -> int:
    """Return how many products differ."""
    wrong = [sku for sku in expected.keys() | found.keys() if expected[sku] != found[sku]]
    for sku in sorted(wrong):
        findings.unexplained(
            "stock is not the sum of its movements", cause=strange or sku, where=place, sku=sku,
            expected=expected[sku], found=found[sku],
        )  # fmt: skip
    return len(wrong)


def _counted(
    findings: Findings, case: Case, edits: tuple[Edit, ...], expected: Counter[str], strange: str
) -> None:
    """A count sets the stock; the server notes by how much, which only it can know."""
    noted = {(row["doc_no"], row["sku"]): row for row in case.evidence.rows_if_any("server/stock_counts.csv")}
    for edit in edits:
        doc = edit.attempts[0].asked.get("doc") or {}
        if edit.kind != "stock_count" or not edit.happened:
            continue
        for line in doc.get("lines", ()):
            row = noted.pop((str(doc.get("doc_no")), str(line["sku"])), None)
            findings.checked += 1
            if row is None or int(row["counted"]) != int(line["counted"]):
                findings.convict(
                    "a count is not kept as counted", doc_no=doc.get("doc_no"), sku=line["sku"],
                    expected=line["counted"], found=row["counted"] if row else None,
                )  # fmt: skip
            else:
                expected[str(line["sku"])] += int(row["delta"])
    for doc_no, sku in sorted(noted):
        findings.unexplained("a count that nobody made", cause=strange or doc_no, doc_no=doc_no, sku=sku)
