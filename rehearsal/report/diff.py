"""What is different between two runs: outcome, checks, thresholds, figures, faults, and what they ran on.

It compares two verdict.json files and says what changed; it judges nothing, since two runs are two samples.
Differences of the environment come along, so that nobody blames the software for another machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from rehearsal.report import verdict as verdict_file
from rehearsal.report.figures import says, shown
from rehearsal.report.text import money, number, visible
from rehearsal.report.verdict import VerdictFile

ABSENT = "absent"
COMMIT = "commit"
_KEPT = {True: "kept", False: "missed", None: "not measured"}
_BIT = {True: "bit", False: "did not bite", None: "not known"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing in both runs, as text; `note` says by how much, where that means something."""

    what: str
    a: str
    b: str
    note: str = ""

    @property
    def differs(self) -> bool:
        """Say whether the two runs differ in it."""
        return self.a != self.b


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading's worth of things compared."""

    title: str
    rows: tuple[Change, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """Return the rows that differ."""
        return tuple(row for row in self.rows if row.differs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two runs side by side."""

    a: VerdictFile
    b: VerdictFile
    sections: tuple[Section, ...]

    @property
    def same_environment(self) -> bool:
        """Say whether both ran the same scenario on the same kind of machine, so that figures compare.

        The commit may differ: it is what two runs are mostly compared for.
        """
        (facts,) = (section for section in self.sections if section.title == "Environment")
        return all(row.what == COMMIT for row in facts.changes)


def compare(path_a: Path, path_b: Path) -> Difference:
    """Compare two runs' folders or verdict.json files. Raises VerdictUnreadable."""
    return difference(verdict_file.read(path_a), verdict_file.read(path_b))


def difference(a: VerdictFile, b: VerdictFile) -> Difference:
    """Return what is the same and what is not, section by section."""
    return Difference(
        a=a,
        b=b,
        sections=(
            Section(title="Outcome", rows=_outcome(a, b)),
            Section(title="Claims", rows=_pairs(_claims(a), _claims(b))),
            Section(title="Checks", rows=_pairs(_checks(a), _checks(b))),
            Section(title="Thresholds", rows=_pairs(_thresholds(a), _thresholds(b))),
            Section(title="Figures", rows=_figures(a.figures, b.figures)),
            Section(title="Faults", rows=_pairs(_faults(a), _faults(b))),
            Section(title="Stages", rows=_pairs(_stages(a), _stages(b))),
            Section(title="Machines", rows=_pairs(_machines(a), _machines(b))),
            Section(title="Environment", rows=_pairs(_environment(a), _environment(b))),
        ),
    )


def _outcome(a: VerdictFile, b: VerdictFile) -> tuple[Change, ...]:
    facts = [
        {
            "verdict": v.verdict.value,
            "why": v.why,
            "interrupted": "yes" if v.interrupted else "no",
            "receipts attempted": number(v.sales.attempted),
            "receipts ok": number(v.sales.ok),
            "receipts refused": number(v.sales.fail),
            "receipts unanswered": number(v.sales.info),
            "gross, cashiers": money(v.sales.gross_minor.cashiers),
            "gross, tills": money(v.sales.gross_minor.tills),
            "gross, server": money(v.sales.gross_minor.server),
        }
        for v in (a, b)
    ]
    return _pairs(*facts)


def _claims(v: VerdictFile) -> dict[str, str]:
    return {
        c.name: (c.verdict.value if c.verdict else "not judged") if c.claimed else "not claimed" for c in v.claims
    }


def _machines(v: VerdictFile) -> dict[str, str]:
    """Return what the kernel counted of each node, as far as it did."""
    found = {}
    for one in v.machines:
        parts = [
            f"{value:g} {unit}"
            for value, unit in (
                (one.memory_peak_mib, "MiB at most"),
                (one.cpu_used_s, "CPU seconds"),
                (one.throttled_s, "s throttled"),
                (one.restarts or None, "restarts"),
                (one.oom_kills or None, "ends by want of memory"),
            )
            if value is not None
        ]
        found[one.node] = ", ".join(parts) or "not counted"
    return found


def _checks(v: VerdictFile) -> dict[str, str]:
    return {c.name: f"{c.verdict} ({number(c.findings)} findings)" if c.findings else c.verdict for c in v.checks}


def _thresholds(v: VerdictFile) -> dict[str, str]:
    return {limit.rule: f"{_KEPT[limit.passed]}, {limit.measured}" for limit in v.thresholds}


def _faults(v: VerdictFile) -> dict[str, str]:
    return {
        f"{fault.kind} {', '.join(fault.targets)} at {fault.at_s:g} s": _BIT[fault.bit] if fault.ran else "not run"
        for fault in v.faults
    }


def _stages(v: VerdictFile) -> dict[str, str]:
    """Return what came of each stage, by its name: titles may be alike."""
    said = {True: "passed", False: "not passed", None: "nothing to pass"}
    return {stage.name: "not seen to its end" if stage.unseen else said[stage.passed] for stage in v.stages}


def _environment(v: VerdictFile) -> dict[str, str]:
    """Return what the runs were and ran on; times and names of the run itself are left out."""
    load = msgspec.to_builtins(v.load)
    fleet = msgspec.to_builtins(v.fleet)
    for name in ("started_ms", "ended_ms", "business_dates", "generator_exit", "generator_late_p99_ms"):
        del load[name]
    facts = {"scenario": v.scenario, "seed": v.seed, COMMIT: v.commit, "currency": v.currency}
    parts = {
        "": facts,
        "fleet ": fleet,
        "load ": load,
        "version ": v.versions,
        "option ": v.options,
        "real ": v.real,
    }
    return {
        f"{prefix}{name.replace('_', ' ')}": _plain(value)
        for prefix, part in parts.items()
        for name, value in part.items()
    }


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return str(value)


def _pairs(a: Mapping[str, str], b: Mapping[str, str]) -> tuple[Change, ...]:
    names = dict.fromkeys([*a, *b])
    return tuple(Change(what=name, a=a.get(name, ABSENT), b=b.get(name, ABSENT)) for name in names)


def _figures(a: Mapping[str, float], b: Mapping[str, float]) -> tuple[Change, ...]:
    return tuple(
        Change(
            what=says(name),
            a=shown(name, a[name]) if name in a else ABSENT,
            b=shown(name, b[name]) if name in b else ABSENT,
            note=_by_how_much(a.get(name), b.get(name)),
        )
        for name in sorted({*a, *b})
    )


def _by_how_much(a: float | None, b: float | None) -> str:
    if a is None or b is None or a in (0, b):
        return ""
    return f"{100 * (b - a) / abs(a):+.1f} %"


def as_text(found: Difference) -> str:
    """Return the differences for a terminal: only what differs, and how much is the same."""
    lines = [
        f"A  {visible(found.a.run_id)}  {found.a.verdict}",
        f"B  {visible(found.b.run_id)}  {found.b.verdict}",
    ]
    for section in found.sections:
        same = len(section.rows) - len(section.changes)
        if not section.changes:
            lines.append(f"\n{section.title}: no difference" + (f" ({same} the same)" if same else ""))
            continue
        lines.append(f"\n{section.title}" + (f" ({same} the same)" if same else ""))
        for row in section.changes:
            lines += [f"  {visible(row.what, longest=120)}{f'  {row.note}' if row.note else ''}"]
            lines += [f"    A  {visible(row.a, longest=300)}", f"    B  {visible(row.b, longest=300)}"]
    if not found.same_environment:
        lines.append("\nThe environments differ: figures of A and B need not compare.")
    return "\n".join(lines) + "\n"
