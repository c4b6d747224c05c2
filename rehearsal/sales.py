"""The money of a run as each witness has it: cashiers, tills, server."""

from __future__ import annotations

from rehearsal.checkers.case import Case
from rehearsal.checkers.history import RECEIPT_KINDS
from rehearsal.model import Gross, Sales
from rehearsal.report.text import money


def _sales(case: Case) -> Sales:
    """Return what each witness counted. Cashiers: what they saw, each operation once."""
    operations = case.history.of(RECEIPT_KINDS).values()
    ok = [attempts for attempts in operations if any(attempt.result == "ok" for attempt in attempts)]
    fail = sum(all(attempt.result == "fail" for attempt in attempts) for attempts in operations)
    seen = [next(attempt for attempt in attempts if attempt.result == "ok") for attempts in ok]
    lost = {
        op_id
        for op_id in case.declared.lost
        if not any(receipt.op_id == op_id for receipt in case.server.receipts)
    }
    on_tills = list(case.posted(case.on_tills))
    posted = [receipt for receipt in case.server.receipts if receipt.counts]
    tallied = {
        (row["till"], row["business_date"])
        for row in case.evidence.rows("server/settlement.csv")
        if row["state"] in ("TALLIED", "RESTATED")
    }
    return Sales(
        attempted=len(operations),
        ok=len(ok),
        fail=fail,
        info=len(operations) - len(ok) - fail,
        on_tills=len(on_tills),
        on_server=len(posted),
        lost=len(lost),
        settled=sum((receipt.till, receipt.business_date) in tallied for receipt in posted),
        gross_minor=Gross(
            cashiers=sum(int(attempt.answer.get("gross", 0)) for attempt in seen),
            tills=sum(receipt.gross for receipt in on_tills),
            server=sum(receipt.gross for receipt in posted),
            lost=sum(int(attempt.answer.get("gross", 0)) for attempt in seen if attempt.op_id in lost),
        ),
    )


def sales_if_readable(case: Case) -> Sales:
    """Return no figures where a witness can't be read; the checkers say so in their answers."""
    try:
        return _sales(case)
    except Exception:  # noqa: BLE001 - evidence may be damaged in any way; what it is, its checkers tell
        return Sales()


def money_line(sales: Sales, currency: str, faults: int) -> str:
    """Return GO in one sentence. `faults`: how many bit."""
    gross = sales.gross_minor
    unseen = sales.on_server + sales.lost - sales.ok
    answer = f" ({unseen} whose answer the cashier never got)" if unseen else ""
    if sales.lost:
        answer += f", but for {sales.lost} of {money(gross.lost)} declared lost"
    return (
        f"{sales.on_server:,} receipts of {money(gross.server)} {currency}"
        " are the same on cashiers' history, tills, server and settlement"
        f"{answer}, through {faults} faults."
    )
