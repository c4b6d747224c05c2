"""Every version that a master row ever had: from the opening masters and the clerks' edits.

Property kept: an edit may be seen from the moment it was asked for, and is certainly committed only once
somebody was told so; between the two a till may have either.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from rehearsal.checkers.case import Case
from rehearsal.checkers.columns import pick
from rehearsal.checkers.history import EDIT_KINDS, Attempt

ALWAYS_MS = -(1 << 62)
NEVER_MS = 1 << 62
STD = "STD"
TRUTH = {"True": "1", "False": "0", "true": "1", "false": "0"}
Key = tuple[str, ...]
Values = dict[str, str]
# table → its file, key columns, and value columns that clerks set
TABLES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "price": ("prices", ("sku", "list", "valid_from_ms"), ("amount",)),
    "product": ("products", ("sku",), ("name", "tax_code", "vendor_id", "active")),
    "vendor": ("vendors", ("vendor_id",), ("name",)),
    "tax_rate": ("tax_rates", ("tax_code",), ("rate_bp",)),
    "cashier": ("cashiers", ("cashier_id",), ("name", "active")),
    "goods_receipt": ("goods_receipts", ("doc_no", "line_no"), ("vendor_id", "sku", "qty")),
    "vendor_return": ("vendor_returns", ("doc_no", "line_no"), ("vendor_id", "sku", "qty")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowVersion:
    """One version of a row; `values` None: deleted. may_ms, must_ms: see the module.

    `lost`: a failover took it back, so that nobody has to have it, and some may have had it for a while.
    """

    table: str
    key: Key
    version: int
    values: Values | None
    may_ms: int
    must_ms: int
    op_id: str
    lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A clerk's operation: its attempts, whether it is known to have happened, and its row versions.

    `told_ok`: some answer promised it, and not only that it was at risk. `unnamed`: the rows that it asked for and
    no answer names. `lost_rows`: what a server had of it that was not there any more after a failover.
    """

    op_id: str
    kind: str
    attempts: tuple[Attempt, ...]
    happened: bool
    told_ok: bool
    rows: tuple[RowVersion, ...]
    unnamed: tuple[tuple[str, Key], ...]
    lost_rows: tuple[RowVersion, ...] = ()


def text(value: Any) -> str:
    """Return a value as the CSV files write it."""
    if isinstance(value, bool):
        return str(int(value))
    return TRUTH.get(said := str(value), said)


def rows_of(kind: str, doc: dict[str, Any]) -> Iterator[tuple[str, Key, Values | None]]:
    """Yield what a document asks for: table, key, values (None: deleted)."""
    if kind in ("goods_receipt", "vendor_return"):
        for line_no, line in enumerate(doc.get("lines", ()), 1):
            values = {"vendor_id": text(doc.get("vendor_id")), "sku": text(line["sku"]), "qty": text(line["qty"])}
            yield kind, (text(doc["doc_no"]), str(line_no)), values
        return
    if kind not in TABLES:
        return
    file, key_names, names = TABLES[kind]
    for given in doc.get(file, ()):
        item = {"list": STD, **given} if kind == "price" else given
        key = tuple(text(item[name]) for name in key_names)
        yield (
            kind,
            key,
            None if item.get("deleted") else {name: text(item[name]) for name in names if name in item},
        )


def _named(rows: Any) -> dict[tuple[str, Key], int]:
    """Return (table, key) → version of the rows that an answer names, as objects or as [table, key, version]."""
    found = {}
    for row in rows or ():
        table, key, version = (row["table"], row["key"], row["version"]) if isinstance(row, dict) else row
        found[str(table), tuple(map(text, key))] = int(version)
    return found


def at_risk(attempt: Attempt) -> bool:
    """Say whether an answer promised no more than that one server has the document."""
    return attempt.answer.get("status") == "at_risk"


def _one_reign(case: Case) -> bool:
    """Say whether one server was live all the time, so that nothing it was told could be lost with another."""
    if not case.evidence.has("reigns.csv"):
        return True
    terms = {n for role, n in pick(case.evidence, "reigns.csv", ("role", "term_n")) if role == "live"}
    terms |= {n for (n,) in pick(case.evidence, "server/term.csv", ("n",))}
    return len(terms) <= 1 and not case.meta.failovers


def taken_back(case: Case) -> frozenset[str]:
    """Return the op ids that a restore is declared to have lost."""
    return frozenset(_recorded(case, "losses"))


def _recorded(case: Case, folder: str = "server") -> dict[str, tuple[str, int, dict[tuple[str, Key], int]]]:
    """Return op id → (kind, when, rows) of the operations that a server keeps; none where there is no such one."""
    found: dict[str, tuple[str, int, dict[tuple[str, Key], int]]] = {}
    name = f"{folder}/edits.csv"
    if folder != "server" and not case.evidence.has(name):
        return found
    for op_id, kind, at_ms, result in pick(case.evidence, name, ("op_id", "kind", "at_ms", "result")):
        kept = json.loads(result)
        found[op_id] = (kind, int(at_ms), _named(kept.get("rows") if isinstance(kept, dict) else kept))
    return found


def read_edits(case: Case) -> tuple[Edit, ...]:
    """Return every edit that a clerk asked for."""
    recorded, before = _recorded(case), {**_recorded(case, "server-old"), **_recorded(case, "losses")}
    restored_ms = max((restore.at_ms for restore in case.meta.restores), default=0)
    gone = _recorded(case, "losses").keys()
    safe = _one_reign(case)
    edits = []
    for op_id, attempts in case.history.of(EDIT_KINDS).items():
        oks = [attempt for attempt in attempts if attempt.result == "ok" and not attempt.edited]
        sure = [attempt for attempt in oks if safe or not at_risk(attempt)]
        if op_id in gone:  # a restore took it back: only what was answered after that is a promise
            sure = [attempt for attempt in sure if attempt.at_ms >= restored_ms]
        _, committed_ms, kept = recorded.get(op_id, ("", 0, {}))
        versions = _named(sure[0].answer.get("rows")) if sure else kept
        asked = next((attempt for attempt in attempts if not attempt.edited), attempts[0])
        must_ms = min([attempt.done_ms or 0 for attempt in sure], default=committed_ms)
        wanted = ((table, key) for table, key, _ in rows_of(asked.f, asked.asked.get("doc") or {}))
        taken_back = [_named(attempt.answer.get("rows")) for attempt in oks if at_risk(attempt)]
        taken_back += [before[op_id][2]] if op_id in before else []
        edits.append(
            Edit(
                op_id=op_id,
                kind=asked.f,
                attempts=attempts,
                happened=bool(sure) or op_id in recorded,
                told_ok=bool(sure),
                rows=_versions(op_id, asked, versions, may_ms=attempts[0].at_ms, must_ms=must_ms),
                unnamed=tuple(row for row in wanted if row not in versions),
                lost_rows=tuple(
                    row
                    for known in taken_back
                    if known != versions
                    for row in _versions(op_id, asked, known, may_ms=attempts[0].at_ms, must_ms=None)
                ),
            )
        )
    return tuple(edits)


def _versions(
    op_id: str, asked: Attempt, versions: dict[tuple[str, Key], int], *, may_ms: int, must_ms: int | None
) -> tuple[RowVersion, ...]:
    """Return what a document made of its rows, by the versions that an answer names; must_ms None: it is lost."""
    return tuple(
        RowVersion(
            table=table,
            key=key,
            version=versions[table, key],
            values=values,
            may_ms=may_ms,
            must_ms=NEVER_MS if must_ms is None else must_ms,
            op_id=op_id,
            lost=must_ms is None,
        )
        for table, key, values in rows_of(asked.f, asked.asked.get("doc") or {})
        if (table, key) in versions
    )


def strange_operations(case: Case) -> dict[str, tuple[tuple[str, Key, int], ...]]:
    """Return the operations that the server keeps and no clerk asked for, with the row versions they name."""
    asked = case.history.of(EDIT_KINDS)
    return {
        op_id: tuple((table, key, version) for (table, key), version in rows.items())
        for op_id, (kind, _, rows) in _recorded(case).items()
        if op_id not in asked and kind in EDIT_KINDS
    }


def causes_of_rows(case: Case) -> dict[tuple[str, Key], str]:
    """Return (table, key) → the strange operation that may have written it."""
    return {(table, key): op_id for op_id, rows in strange_operations(case).items() for table, key, _ in rows}


def read_table(case: Case, folder: str, table: str) -> Iterator[tuple[Key, int, tuple[str, ...]]]:
    """Yield key, version and values of a master table's rows, in `opening`, `server` or `tills/T01`.

    An import has version 1, no list of its own, and sells everything.
    """
    file, key_names, names = TABLES[table]
    width = len(key_names)
    absent = {"list": STD, "active": "1", "version": "1"}
    if not case.evidence.has(f"{folder}/{file}.csv"):
        return
    truths = "active" in names
    for row in pick(case.evidence, f"{folder}/{file}.csv", (*key_names, "version", *names), absent):
        values = row[width + 1 :]
        yield row[:width], int(row[width] or 1), tuple(map(text, values)) if truths else values


class Timeline:
    """The versions of one table's rows, each key's in order of version: of all that clerks edited.

    `opening_of` names the products or codes whose opening rows are wanted too; `lost`: also the versions that a
    failover took back.
    """

    def __init__(
        self, case: Case, edits: tuple[Edit, ...], table: str, *, opening_of: Collection[str] = (),
        lost: bool = False,
    ) -> None:  # fmt: skip
        self.table = table
        self.by_key: dict[Key, list[RowVersion]] = defaultdict(list)
        names = TABLES[table][2]
        for key, version, values in read_table(case, "opening", table) if opening_of else ():
            if key[0] in opening_of:
                self.by_key[key].append(
                    RowVersion(
                        table=table,
                        key=key,
                        version=version,
                        values=dict(zip(names, values, strict=True)),
                        may_ms=ALWAYS_MS,
                        must_ms=ALWAYS_MS,
                        op_id="",
                    )
                )
        for edit in edits:
            for row in (*edit.rows, *(edit.lost_rows if lost else ())):
                if row.table == table:
                    self.by_key[row.key].append(row)
        self.keys_of: dict[str, list[Key]] = defaultdict(list)
        for key, versions in self.by_key.items():
            versions.sort(key=lambda row: row.version)
            self.keys_of[key[0]].append(key)
