"""Validity: whether the run can show anything at all.

Withholds (UNKNOWN) when history has holes, an evidence file is missing or was changed, a fault did not
bite or its lift was not read back, the host or the generator was too slow, or too little was sold.
"""

from __future__ import annotations

from rehearsal.checkers import host
from rehearsal.checkers.case import Case
from rehearsal.checkers.findings import Findings, Where
from rehearsal.checkers.history import RECEIPT_KINDS
from rehearsal.checkers.windows import Windows, is_down
from rehearsal.model import META_SCHEMA, CheckResult, FaultRecord

NAME = "validity"
GENERATOR_LATE_MAX_MS = 1000.0
STARTING_AGAIN = frozenset(
    {
        "kill", "restart", "postgres_restart", "power_cut", "duplicate_uploader", "disk_rollback", "reimage_till",
        "old_server_returns", "kill_promoting", "memory_hog",
    }
)  # fmt: skip
TILL_TABLES = (
    "state", "receipts", "lines", "payments", "journal", "z", "products", "prices", "vendors", "tax_rates",
    "stock",
)  # fmt: skip
SERVER_TABLES = (
    "term", "receipts", "lines", "payments", "journal", "settlement", "products", "prices", "vendors",
    "tax_rates", "stock", "edits",
)  # fmt: skip


def check(case: Case) -> CheckResult:
    """Judge the run itself."""
    findings = Findings(NAME)
    meta = case.meta
    if meta.schema != META_SCHEMA:
        findings.doubt("meta.json is of another version", expected=META_SCHEMA, found=meta.schema)
    for hole in case.history.holes:
        findings.doubt("history has a hole", where=hole)
    findings.checked += case.history.lines
    _files(findings, case)
    if meta.interrupted:
        findings.doubt("the run was interrupted")
    for fault in meta.faults:
        _fault(findings, fault)
    _started_again(findings, case)
    for trouble in meta.trouble:
        findings.doubt("the lab had trouble", what_happened=trouble)
    _sold_enough(findings, case)
    _generator(findings, case)
    findings.figures |= host.figures(case)
    if busy := host.saturated(case):
        findings.doubt("the host was saturated", host=busy)
    for stage in meta.stages:
        if stage.passed is False:
            findings.doubt("a stage did not pass", stage=stage.name, why=stage.detail)
        if stage.unseen:
            findings.doubt("a stage was not seen to its end", stage=stage.name, why=stage.detail)
    bit = sum(fault.bit is True for fault in meta.faults)
    findings.figures["faults.bit"] = float(bit)
    return findings.result(
        f"{bit} of {len(meta.faults)} faults bit and were healed; no hole in {findings.checked} lines"
    )


def _files(findings: Findings, case: Case) -> None:
    """What was recorded is still there, unchanged; what every run needs was recorded."""
    needed = [f"tills/{till}/{table}.csv" for till in case.meta.fleet.tills for table in TILL_TABLES]
    needed += [f"server/{table}.csv" for table in SERVER_TABLES]
    for name in (*needed, "history.jsonl"):
        if not case.evidence.has(name):
            findings.doubt("an evidence file is missing", file=name)
    found = case.evidence.digests()
    if not case.meta.digests:
        findings.doubt("meta.json records no digests of the evidence files")
    for name, digest in sorted(case.meta.digests.items()):
        if name not in found:
            findings.doubt("an evidence file is gone", file=name)
        elif found[name] != digest:
            findings.doubt("an evidence file was changed after the run", file=name)
    for name in sorted(found.keys() - case.meta.digests.keys()):
        if case.meta.digests:
            findings.doubt("an evidence file was added after the run", file=name)


def _fault(findings: Findings, fault: FaultRecord) -> None:
    """A fault counts only when it ran, hit the step it was aimed at, and was read back as gone."""
    findings.checked += 1
    where: Where = {"fault": fault.kind, "targets": " ".join(fault.targets), "at_s": f"{fault.at_s:g}"}
    if not fault.ran:
        findings.doubt("a fault was not run", why=fault.evidence, **where)
        return
    if fault.bit is not True:
        findings.doubt("a fault did not bite" if fault.bit is False else "nothing shows that a fault bit",
                       why=fault.evidence, **where)  # fmt: skip
    if fault.healed is not True:
        findings.doubt("a fault was not read back as lifted", why=fault.heal_evidence, **where)
    if fault.left_behind:
        findings.doubt("the lab could not bring back what a fault took", left=" ".join(fault.left_behind), **where)


def _started_again(findings: Findings, case: Case) -> None:
    """Nobody helps: a node starts again only by a fault that takes it down. Heal restarts nothing."""
    for machine in case.meta.machines:
        explained = sum(
            machine.node in fault.targets and fault.ran and fault.kind in STARTING_AGAIN
            for fault in case.meta.faults
        )
        explained += case.meta.operator_started.count(machine.node)
        explained += sum(machine.node == one.till for one in case.meta.cleaned)
        if machine.node not in case.meta.fleet.tills:
            explained += sum(fault.ran and fault.kind == "restored_backup" for fault in case.meta.faults)
        if machine.restarts > explained:
            findings.doubt(
                "a node was started more often than its faults explain", node=machine.node,
                restarts=machine.restarts, explained=explained,
            )  # fmt: skip


def _sold_enough(findings: Findings, case: Case) -> None:
    """Enough sales in all, and asked for within each fault's window."""
    operations = case.history.of(RECEIPT_KINDS)
    ok = sum(any(attempt.result == "ok" for attempt in attempts) for attempts in operations.values())
    load = case.meta.load
    findings.figures["sales"] = float(ok)
    if ok < max(load.min_sales, 1):
        findings.doubt("too few sales", needed=max(load.min_sales, 1), found=ok)
    if not load.min_sales_in_fault:
        return
    windows = Windows(case.meta)
    for fault, begin, end in windows.spans:
        if fault.for_s <= 0 or fault.bit is not True:
            continue
        down = is_down(fault)  # nothing can be asked of a till that stands still: who was due then waits
        asked = sum(
            begin <= (attempts[0].due_ms if down else attempts[0].at_ms) <= end
            and windows.touches(fault, attempts[0].till)
            for attempts in operations.values()
        )
        if asked < load.min_sales_in_fault:
            findings.doubt(
                "too few sales in a fault's window", fault=fault.kind, targets=" ".join(fault.targets),
                needed=load.min_sales_in_fault, found=asked,
            )  # fmt: skip


def _generator(findings: Findings, case: Case) -> None:
    load = case.meta.load
    if load.generator_exit not in (0, None):
        findings.doubt("the load generator failed", exit_code=load.generator_exit)
    late = load.generator_late_p99_ms
    if late is not None and late > GENERATOR_LATE_MAX_MS:
        findings.doubt(
            "the load generator was late", p99_ms=f"{late:.0f}", limit_ms=f"{GENERATOR_LATE_MAX_MS:.0f}"
        )
