"""What to do next: concrete steps for whoever has to decide on go-live, for each outcome and each check.

The steps name the file to open and the question to ask of it; they follow from the outcome alone, so that
the same run always gives the same advice.
"""

from __future__ import annotations

from rehearsal.model import CheckResult, FaultRecord, Outcome, RunRecord, Verdict
from rehearsal.report.text import visible

STEPS_MAX = 15
WHERE_MAX = 3
_CONVICTED = {
    "receipts": (
        "Sales were lost, doubled or invented. Do not go live. Take the first op id of "
        "findings/receipts.csv, find it in evidence/history.jsonl to see when it was asked for and what the "
        "cashier was told, and in the fault table what was broken at that moment; then compare journal.csv "
        "of that till and of the server around it."
    ),
    "money": (
        "Amounts differ from what the basket, the price and the rounding rule give. Recompute the first line of "
        "findings/money.csv by hand (docs/protocol.md, Units and rounding) and ask the vendor which side rounds "
        "differently. Look at one till and one tax rate first: such errors repeat."
    ),
    "settlement": (
        "The settlement does not add up. For each till and date marked below compare its Z with the sums of "
        "its receipts on the server: findings/settlement.csv says which side lacks what. Look for a day that "
        "was closed while its till was offline, and for refunds of another till's receipt."
    ),
    "masters": (
        "Tills sell from other master data than the back office has. findings/masters.csv names till, table "
        "and row: if one till differs, look at its log from its last fault on; if all differ, look at the "
        "feed on the server."
    ),
    "documents": (
        "A till showed a document half applied. Ask for documents to be applied in one transaction at the "
        "till; the samples in findings/documents.csv give the pair of articles and the moment."
    ),
    "edits": (
        "The back office confirmed an edit that is not there at the end. Find its op id in "
        "evidence/server/edits.csv: absent means that it was answered before it was stored, present means "
        "that something wrote over it."
    ),
    "prices": (
        "A customer was charged a price that was not legal on that till at that moment. findings/prices.csv "
        "gives the line, the price charged and the ones that were allowed; look for effective dates and "
        "clock faults."
    ),
    "stock": (
        "Stock does not follow from what was received, returned, counted and sold. Start with the first "
        "article of findings/stock.csv: a difference of one whole document means that it was posted twice or "
        "not at all."
    ),
    "chain": (
        "What the server holds is not what the till wrote. Treat the till's journal as evidence: keep both "
        "databases, and compare the bytes at the first sequence in findings/chain.csv."
    ),
    "failover": (
        "Two servers took sales in one reign, or tills did not find the new one in time. Keep preproduction "
        "out of the tills' server lists until findings/failover.csv is explained."
    ),
    "drain": (
        "The system did not come to rest after all faults were gone: something stopped trying. The list of "
        "what was pending names the tills or servers; their logs (logs/) show the last attempt. Restarting "
        "one to get it going again is the bug, not the cure."
    ),
    "experience": (
        "Cashiers would feel the sync. See which window is worst and which stage or fault it falls into; run "
        "the same scenario again with the next larger --profile to learn whether it is the hardware."
    ),
    "validity": (
        "The rehearsal itself convicts nothing, but its measurements do not hold; see findings/validity.csv, "
        "repair the setup and run again."
    ),
}  # fmt: skip
_WITHHELD = {
    "drain": (
        "The system was still moving when the time was over, on a machine without room. Run again on a quieter or "
        "larger machine before blaming the sync."
    ),
}
_UNFAIR = {
    "saturated": (
        "The machine that ran the rehearsal had no processor left, so nobody can say whether the sync or the "
        "machine was slow. Close what else runs on it, or take fewer tills (--tills) or less load (--set "
        "load.rate=…)."
    ),
    "generator": (
        "The load generator could not keep its schedule or ended early. See logs/ for why; a quieter machine "
        "or a lower rate (--set load.rate=…) helps when it was late."
    ),
    "too few sales": (
        "Too few sales were made for the result to mean something. Raise load.rate or load.duration, or look "
        "at why sales were refused."
    ),
    "history": (
        "The cashiers' history has a hole: what was asked for in it is not known. Look in logs/ for a worker "
        "that was killed or a disk that was full, and run again."
    ),
    "evidence file": (
        "The evidence is not what the run wrote: findings/validity.csv names the files. Judge an untouched "
        "copy of the folder, or run again."
    ),
    "stage": (
        "A stage of the story did not pass, or was not seen to its end; the stage table says why. What follows was"
        " not rehearsed as planned."
    ),
    "trouble": "The lab itself had trouble, named under Machines. Repair it and run again with the same seed.",
}
_UNKNOWN = (
    "The check “{name}” could not answer: {detail}. Without it nothing is known about {subject}; repair what "
    "it names, then judge the same evidence again with “tillproof check”."
)
SUBJECT = {
    "receipts": "lost, doubled or invented sales",
    "money": "amounts, tax and payments to the cent",
    "settlement": "the days' settlement",
    "masters": "whether tills and back office hold the same master data",
    "documents": "documents seen half applied",
    "edits": "edits that the back office confirmed",
    "prices": "prices charged",
    "stock": "stock",
    "chain": "whether the server holds what the tills wrote",
    "failover": "the change to the other server",
    "drain": "whether the system comes to rest by itself",
    "experience": "what cashiers felt",
    "validity": "whether the rehearsal was a fair trial",
}


PROMISE = {
    "receipts": "No sale that a cashier was told is done is lost or doubled, none is invented, no number repeats.",
    "money": "Every amount, tax and payment is right to the cent, on the till and on the server.",
    "settlement": "The server's settlement and each till's Z report add up to the receipts.",
    "masters": "At the end every till holds what the back office has; online it is never older than its bound.",
    "documents": "No till ever shows a document half applied.",
    "edits": "What the back office confirmed is there at the end.",
    "prices": "Every line was sold at a price that was right on that till at that moment.",
    "stock": "Stock follows from what was received, returned, counted and sold.",
    "chain": "The server holds, byte by byte, what the tills wrote.",
    "drain": "When the faults are gone the system comes to rest by itself.",
    "experience": "Cashiers do not feel the sync beyond the thresholds.",
    "offline": "A till that is cut off goes on selling, and catches up.",
    "hardware": "All of that within the memory and processor of the tills' hardware.",
    "failover": "The other server takes over, and the old one can do no harm.",
}


def next_steps(record: RunRecord) -> tuple[str, ...]:
    """Return what to do next, most urgent first."""
    judged = record.judgement
    if judged.verdict is Outcome.GO:
        return _after_go(record)
    convicted = {check.name for check in judged.checks if check.verdict is Verdict.INVALID}
    steps = [
        _CONVICTED.get(check.name, f"Look at findings/{check.name}.csv: {check.detail}") + _where(check)
        for check in judged.checks
        if check.name in convicted
    ]
    steps += [
        f"The threshold “{limit.rule}” was missed ({limit.measured}). Decide whether the limit is the shop's "
        "real need; if it is, find the window below in which it was missed."
        for limit in judged.thresholds
        if limit.passed is False and not _said_already(limit.rule, convicted)
    ]
    if record.meta.interrupted:
        steps.append(
            "The run was stopped before its end. Run it again and let it finish: " + record.meta.reproduce
        )
    steps += [_for_fault(fault) for fault in record.meta.faults if fault.bit is not True or fault.healed is False]
    for check in judged.checks:
        if check.verdict is Verdict.UNKNOWN:
            steps += _unfair(check) if check.name == "validity" else [_withheld(check)]
    steps += [
        f"The threshold “{limit.rule}” could not be measured; see that its samples are taken in this fleet."
        for limit in judged.thresholds
        if limit.passed is None
    ]
    if judged.verdict is Outcome.NO_GO:
        steps.append(
            "Send this folder to whoever supplies the sync: the evidence, the seed and the command below "
            "repeat the run. After the repair run the same seed first, then three others."
        )
    found = list(dict.fromkeys(steps))
    more = len(found) - STEPS_MAX
    return (*found[:STEPS_MAX], *([f"{more} more like these follow from the tables below."] if more > 0 else []))


def _where(check: CheckResult) -> str:
    """Return which tills and dates the findings are about, when they are few."""
    said = []
    for column in ("till", "date"):
        names = dict.fromkeys(row[column] for row in check.evidence if row.get(column))
        if 0 < len(names) <= WHERE_MAX:
            listed = ", ".join(visible(name, longest=30) for name in names)
            said.append(f"{column}{'s' if len(names) > 1 else ''} {listed}")
    return f" The findings are about {' and '.join(said)}." if said else ""


def _said_already(rule: str, convicted: set[str]) -> bool:
    """Say whether the step of a convicted check covers a missed threshold."""
    figure = next(iter(rule.split(maxsplit=1)), "")
    return figure in convicted or (figure.startswith("sale.") and "experience" in convicted)


def _after_go(record: RunRecord) -> tuple[str, ...]:
    """A GO is an invitation to look for its limits."""
    missing = [claim.name for claim in record.judgement.claims if not claim.claimed]
    steps = [
        "Run it with at least two more seeds (--seed) and on the weakest till hardware you own (--profile): "
        "one run is one sample of the possible timings.",
        "Rehearse with your own articles and prices (--masters FOLDER) and compare the figures under "
        "“Rehearsed against real” with your busiest hour.",
    ]
    if missing:
        steps.append("Find out who answers for what was not claimed: " + ", ".join(missing) + ".")
    if not record.meta.fleet.caps_enforced:
        steps.append(
            "The hardware was not judged: run it where control groups can be made (as root, or with a "
            "systemd user session) before you promise anything about speed on the tills."
        )
    steps.append(
        "Keep this folder with the release papers: “tillproof check” judges it again from its evidence alone."
    )
    return tuple(steps)


def _unfair(check: CheckResult) -> list[str]:
    """Return what to repair before the trial is fair; faults and stopped runs have their own steps."""
    said = " ".join([check.detail, *(row.get("what", "") for row in check.evidence)])
    found = [step for word, step in _UNFAIR.items() if word in said]
    known = (*_UNFAIR, "fault", "interrupted")
    if any(not any(word in row.get("what", "") for word in known) for row in check.evidence) or not check.evidence:
        found.append(
            f"The run was not a fair trial: {visible(check.detail, longest=300)}. Repair that and run again."
        )
    return found


def _withheld(check: CheckResult) -> str:
    if check.name in _WITHHELD:
        return _WITHHELD[check.name]
    subject = SUBJECT.get(check.name, check.name)
    return _UNKNOWN.format(
        name=check.name, detail=visible(check.detail, longest=300).rstrip(". "), subject=subject
    )


def _for_fault(fault: FaultRecord) -> str:
    name = f"{fault.kind} on {', '.join(fault.targets) or 'nothing'} at {fault.at_s:g} s"
    if not fault.ran:
        why = fault.evidence or "this fleet cannot do it"
        return f"The fault {name} was not run ({why}): choose a fleet that can, or take it out."
    if fault.healed is False:
        why = fault.heal_evidence
        return f"The fault {name} could not be read back as gone ({why}): what came after it counts for nothing."
    why = fault.evidence or "no evidence"
    return (
        f"The fault {name} did not show that it bit ({why}): aim it at a link or process in use, or let it last "
        "longer, so that the rehearsal proves something."
    )
