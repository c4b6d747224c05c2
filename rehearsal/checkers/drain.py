"""Drain: once the faults are lifted the system comes to rest by itself, in the time it was given.

Convicts when it was not quiet by the deadline, or when it was called quiet although the journals differ
in length. Slow progress on a saturated host can't be told from a slow system.
"""

from __future__ import annotations

from rehearsal.checkers.case import Case
from rehearsal.checkers.findings import Findings
from rehearsal.checkers.host import saturated
from rehearsal.model import CheckResult

NAME = "drain"


def check(case: Case) -> CheckResult:
    """Judge how the run came to rest."""
    findings = Findings(NAME)
    drain = case.meta.drain
    if drain is None:
        findings.doubt("the run never came to its drain")
        return findings.result("")
    findings.figures["drain"] = drain.took_s * 1000
    findings.checked += 1
    limits = {"took_s": f"{drain.took_s:.1f}", "deadline_s": f"{drain.deadline_s:g}"}
    pending = "; ".join(drain.pending)
    if not drain.quiet:
        if drain.progressed and (busy := saturated(case)):
            findings.doubt(
                "not quiet by the deadline, but moving on a saturated host", host=busy, pending=pending, **limits
            )
        else:
            findings.convict("not quiet by the deadline", pending=pending, **limits)
    elif pending:
        findings.convict("called quiet with something pending", pending=pending, **limits)
    for key in sorted(case.till_journals.keys() | case.server_journals.keys()):
        ours, theirs = case.till_journals.get(key, ()), case.server_journals.get(key, ())
        head = ours[-1].seq if ours else case.anchors.get(key, (0, ""))[0]
        durable = theirs[-1].seq if theirs else 0
        findings.checked += 1
        if head != durable:
            findings.convict("till and server did not come to one end", till=key[0], head=head, on_server=durable)
    return findings.result(f"quiet {drain.took_s:.1f} s after the heal, of {drain.deadline_s:g} s allowed")
