"""Edits: what a clerk was told is done, is done, once, and is there at the end unless superseded.

Convicts when an `ok` edit's operation or rows are missing or differ, a refused one left a trace, two
edits have one version of a row, nobody asked for an operation, or a row changed without one.
"""

from __future__ import annotations

from collections import Counter

from rehearsal.checkers.case import Case
from rehearsal.checkers.findings import Findings, Where
from rehearsal.checkers.history import EDIT_KINDS, refused_again
from rehearsal.checkers.timeline import (
    TABLES,
    Edit,
    Key,
    RowVersion,
    Timeline,
    at_risk,
    causes_of_rows,
    read_edits,
    read_table,
    taken_back,
)
from rehearsal.model import CheckResult

NAME = "edits"
NEVER_IMPORTED = frozenset({"goods_receipt", "vendor_return"})  # so none of these is there at opening
Final = dict[Key, tuple[int, tuple[str, ...]]]
Causes = dict[tuple[str, Key], str]


def final_rows(case: Case, table: str) -> Final:
    """Return the server's rows at the end: key → (version, values)."""
    return {key: (version, values) for key, version, values in read_table(case, "server", table)}


def check(case: Case) -> CheckResult:
    """Judge every edit."""
    findings = Findings(NAME)
    edits = read_edits(case)
    _operations(findings, case, edits)
    _answers(findings, case, edits)
    causes = causes_of_rows(case)
    for table in TABLES:
        final = final_rows(case, table)
        timeline = Timeline(case, edits, table)
        _present(findings, final, timeline, causes)
        _untouched(findings, case, final, timeline, causes)
    told = sum(edit.told_ok for edit in edits)
    findings.figures["edits"] = float(told)
    if not told:
        findings.checked = 0
    gone = round(findings.figures["edits.lost"])
    less = f", but for {gone} that a restored backup is declared to lack" if gone else ""
    return findings.result(
        f"{told} confirmed edits are there or superseded{less}", missing_lines=case.history.missing
    )


def _operations(findings: Findings, case: Case, edits: tuple[Edit, ...]) -> None:
    """The server keeps each operation once, and none that was refused or never asked for."""
    kept = Counter(row["op_id"] for row in case.evidence.rows("server/edits.csv"))
    kinds = {row["op_id"]: row["kind"] for row in case.evidence.rows("server/edits.csv")}
    lost, restored_ms = taken_back(case), max((one.at_ms for one in case.meta.restores), default=0)
    for edit in edits:
        where: Where = {"op_id": edit.op_id, "kind": edit.kind}
        findings.checked += 1
        if edit.op_id in lost and kept[edit.op_id] and edit.attempts[-1].at_ms < restored_ms:
            findings.convict("declared lost, but the server has the operation", **where)
        if edit.told_ok and not kept[edit.op_id]:
            findings.convict("ok, but the server does not have the operation", **where)
        if kept[edit.op_id] > 1:
            findings.convict("one operation was done twice", times=kept[edit.op_id], **where)
        if kept[edit.op_id] and all(attempt.result == "fail" for attempt in edit.attempts):
            findings.convict("refused, but done", **where)
        elif kept[edit.op_id] and (refused := refused_again(edit.attempts)):
            findings.convict("refused when it was asked again, but done", code=refused.code, **where)
        for table, key in edit.unnamed if edit.told_ok else ():
            findings.convict("ok, but a row of it was not named", table=table, key=str(key), **where)
        if edit.told_ok and not edit.rows and not edit.unnamed and edit.kind in TABLES:
            findings.convict("ok, but it asks for nothing", **where)
    lost_for_good = lost - kept.keys()
    findings.figures["edits.lost"] = float(len(lost_for_good))
    for op_id in sorted(lost - {edit.op_id for edit in edits}):
        findings.unexplained("a declared loss that nobody asked for", cause=op_id, op_id=op_id)
    for op_id in sorted(kept.keys() - {edit.op_id for edit in edits}):
        if kinds[op_id] in EDIT_KINDS:
            findings.unexplained("an edit that nobody asked for", cause=op_id, op_id=op_id, kind=kinds[op_id])


def _answers(findings: Findings, case: Case, edits: tuple[Edit, ...]) -> None:
    """A repeat gets the same answer; two edits never have one version of a row."""
    owners: dict[tuple[str, Key, int], str] = {}
    lost, restored_ms = taken_back(case), max((one.at_ms for one in case.meta.restores), default=0)
    for edit in edits:
        oks = [attempt for attempt in edit.attempts if attempt.result == "ok" and not attempt.edited]
        if edit.op_id in lost:  # after a restore the same document is made anew
            oks = [attempt for attempt in oks if attempt.at_ms >= restored_ms]
        for again in oks[1:] if oks and not (at_risk(oks[0]) and case.evidence.has("reigns.csv")) else ():
            findings.differ(
                "a repeat got other rows", oks[0].answer.get("rows"), again.answer.get("rows"), op_id=edit.op_id
            )
        for row in edit.rows:
            other = owners.setdefault((row.table, row.key, row.version), edit.op_id)
            if other != edit.op_id:
                findings.convict(
                    "two edits have one version of a row", table=row.table, key=str(row.key), version=row.version,
                    op_id=edit.op_id, other_op_id=other,
                )  # fmt: skip


def _present(findings: Findings, final: Final, timeline: Timeline, causes: Causes) -> None:
    """The last version that anybody wrote is what the server has."""
    for key, versions in timeline.by_key.items():
        last = versions[-1]
        findings.checked += 1
        where: Where = {"table": last.table, "key": str(key), "op_id": last.op_id}
        if key in final:
            _compare(findings, last, final[key], where, _cause(causes, last.table, key))
        elif last.values is not None and (last.table, key) in causes:
            findings.unexplained("a row was deleted", cause=causes[last.table, key], **where)
        elif last.values is not None:
            findings.convict("an edited row is gone", version=last.version, **where)


def _cause(causes: Causes, table: str, key: Key) -> str:
    return causes.get((table, key)) or f"{table} {key}"


def _compare(
    findings: Findings, last: RowVersion, found: tuple[int, tuple[str, ...]], where: Where, cause: str
) -> None:
    version, values = found
    if version < last.version:
        what = "an edit is missing: an older version is there"
        findings.convict(what, version=last.version, found=version, **where)
    elif version > last.version:
        what = "a later version that nobody wrote"
        findings.unexplained(what, cause=cause, version=last.version, found=version, **where)
    elif last.values is None:
        findings.convict("a deleted row is there", version=version, **where)
    else:
        stored = dict(zip(TABLES[last.table][2], values, strict=True))
        for name, value in last.values.items():
            findings.differ(f"{name} is not what was asked for", value, stored[name], **where)


def _untouched(findings: Findings, case: Case, final: Final, timeline: Timeline, causes: Causes) -> None:
    """Rows without an edit are as they were imported, and no others have come."""
    table = timeline.table
    if table not in NEVER_IMPORTED and not case.evidence.has(f"opening/{TABLES[table][0]}.csv"):
        return
    edited = timeline.by_key.keys()
    seen: set[Key] = set()
    for key, version, values in read_table(case, "opening", table):
        seen.add(key)
        if key in edited:
            continue
        findings.checked += 1
        if final.get(key) != (version, values):
            what = "an imported row changed without an edit"
            if key not in final:
                what = "an imported row is gone without an edit"
            findings.unexplained(
                what, cause=_cause(causes, table, key), table=table, key=str(key), expected=str((version, values)),
                found=str(final.get(key)),
            )  # fmt: skip
    for key in sorted(final.keys() - seen - edited):
        findings.unexplained("a row that nobody made", cause=_cause(causes, table, key), table=table, key=str(key))
