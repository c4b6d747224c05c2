"""Masters: at the end every till has the server's rows, and on the way it was never stale while online.

Convicts when a row or version differs between a till and the server, when the masters of an online till
were older than their bound, or when a till's cursor went back within a term. Withholds (UNKNOWN) when a till
was never looked at on the way.
"""

from __future__ import annotations

from rehearsal.checkers.case import Case
from rehearsal.checkers.columns import pick
from rehearsal.checkers.findings import Findings
from rehearsal.checkers.windows import FOREVER_MS, Windows
from rehearsal.model import CheckResult

NAME = "masters"
TABLES: dict[str, tuple[str, ...]] = {
    "products": ("sku",),
    "prices": ("sku", "list", "valid_from_ms"),
    "vendors": ("vendor_id",),
    "tax_rates": ("tax_code",),
    "stock": ("sku",),
    "cashiers": ("cashier_id",),
    "goods_receipts": ("doc_no", "line_no"),
    "vendor_returns": ("doc_no", "line_no"),
}
OPTIONAL = frozenset({"cashiers", "goods_receipts", "vendor_returns"})
SHOWN_MAX = 1000  # findings kept per till and table; the count goes on


def check(case: Case) -> CheckResult:
    """Judge the tills' masters."""
    findings = Findings(NAME)
    total = 0
    for table, key_names in TABLES.items():
        server = f"server/{table}.csv"
        if not case.evidence.has(server) and table in OPTIONAL:
            continue
        digest = case.text_digest(server)
        count = sum(1 for _ in pick(case.evidence, server, key_names))
        total += count
        for till in case.till_names:
            ours = f"tills/{till}/{table}.csv"
            if not case.evidence.has(ours) and table in OPTIONAL:
                continue
            findings.checked += count
            if case.text_digest(ours) != digest:
                _differences(findings, case, till, table, key_names)
    _freshness(findings, case)
    _positions(findings, case)
    return findings.result(f"{len(case.till_names)} tills have the server's {total} rows, version by version")


def _differences(findings: Findings, case: Case, till: str, table: str, key_names: tuple[str, ...]) -> None:
    """Compare row by row; the server's table is held in memory only here."""
    server = {tuple(row[name] for name in key_names): row for row in case.evidence.rows(f"server/{table}.csv")}
    shown = 0
    seen = set()
    for row in case.evidence.rows(f"tills/{till}/{table}.csv"):
        key = tuple(row[name] for name in key_names)
        theirs = server.get(key)
        if theirs == row and key not in seen:
            seen.add(key)
            continue
        what = "a row differs" if theirs is not None else "a row that the server does not have"
        if key in seen:
            what = "a row twice"
        seen.add(key)
        shown += 1
        if shown <= SHOWN_MAX:
            findings.convict(
                what, till=till, table=table, key=" ".join(key), on_till=str(row), on_server=str(theirs)
            )
    for key in sorted(server.keys() - seen)[:SHOWN_MAX]:
        findings.convict("a row is missing", till=till, table=table, key=" ".join(key), on_server=str(server[key]))


def _freshness(findings: Findings, case: Case) -> None:
    """An online till has every change younger than the bound, unless a fault touched it meanwhile."""
    bound_ms = round(case.meta.stale_bound_s * 1000)
    windows = Windows(case.meta)
    seen = set()
    for row in case.evidence.rows_if_any("masters_samples.csv"):
        seen.add(row["till"])
        if text_is_true(row["online"]) and row["age_ms"]:
            at_ms, age_ms = int(row["at_ms"]), int(row["age_ms"])
            if age_ms > bound_ms and windows.calm(row["till"], at_ms - age_ms, at_ms, bound_ms):
                findings.convict(
                    "stale beyond its bound while online", till=row["till"], at_ms=at_ms, age_ms=age_ms
                )
    for till in case.meta.fleet.tills:
        if till not in seen:
            findings.doubt("a till's masters were not looked at on the way", till=till)


def text_is_true(value: str) -> bool:
    """Return whether a CSV truth value is true."""
    return value.lower() in ("1", "true", "yes")


def _positions(findings: Findings, case: Case) -> None:
    """A till's cursor never goes back within a term, nor to an older term."""
    last: dict[str, tuple[int, int]] = {}
    disks = {(loss.till, loss.at_ms) for loss in case.meta.losses}
    cleaned = {one.till: one.at_ms for one in case.meta.cleaned}
    for row in case.evidence.rows_if_any("masters_samples.csv"):
        if not row["cursor_pos"]:
            continue
        place = (int(row["term_n"] or 0), int(row["cursor_pos"]))
        for till, at_ms in [disk for disk in disks if disk[0] == row["till"] and disk[1] <= int(row["at_ms"])]:
            last.pop(till, None)  # another disk, with the cursor that it had
            disks.discard((till, at_ms))
        if place[1] == 0 and int(row["at_ms"]) >= cleaned.get(row["till"], FOREVER_MS):
            last.pop(row["till"], None)
        before = last.get(row["till"], place)
        if place < before:
            findings.convict(
                "a cursor went back", till=row["till"], at_ms=row["at_ms"], before=str(before), after=str(place)
            )
        last[row["till"]] = max(place, before)
