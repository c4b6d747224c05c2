"""summary.md: the run for a CI step's summary page, which takes at most 1 MiB of Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from rehearsal.model import Outcome, RunRecord, Verdict
from rehearsal.report.advice import next_steps
from rehearsal.report.figures import says, shown
from rehearsal.report.lanes import fault_name
from rehearsal.report.text import NO_MONEY, instant, markdown, money, number

BYTES_MAX = 900 * 1024
CELL_MAX = 300
ROWS_MAX = 100
_SIGN = {Verdict.VALID: "✅ VALID", Verdict.INVALID: "❌ INVALID", Verdict.UNKNOWN: "❓ UNKNOWN"}
_OUTCOME = {Outcome.GO: "✅", Outcome.NO_GO: "❌", Outcome.INCONCLUSIVE: "❓"}
_KEPT = {True: "✅ kept", False: "❌ missed", None: "❓ not measured"}
_BIT = {True: "✅ bit", False: "❌ did not bite", None: "❓ not known"}


def summary_md(record: RunRecord) -> str:
    """Return summary.md's text, under 900 KiB whatever the run holds."""
    meta, judged, sales = record.meta, record.judgement, record.judgement.sales
    gross = sales.gross_minor
    kept = gross.cashiers - gross.lost
    signs = ["=" if a == b else "≠" for a, b in ((kept, gross.tills), (gross.tills, gross.server))]
    less = f" less {money(gross.lost)} declared lost" if gross.lost else ""
    told = (
        f"Cashiers {money(gross.cashiers)}{less} {signs[0]} tills {money(gross.tills)} {signs[1]} "
        f"server {money(gross.server)} {_cell(meta.currency)} "
        f"({number(sales.ok)}, {number(sales.on_tills)}, {number(sales.on_server)} receipts)"
    )
    fleet = meta.fleet
    parts = [
        f"# {_OUTCOME[judged.verdict]} {judged.verdict}: {_cell(meta.title or meta.scenario)}",
        f"**{markdown(judged.why)}**",
        f"{len(fleet.tills)} tills, {_cell(fleet.kind)} fleet, {_cell(fleet.profile)}"
        f"{'' if fleet.caps_enforced else ' (hardware: not judged)'}, "
        f"seed {meta.seed}, {_cell(instant(meta.started))}",
        "## Money",
        told if sales.known else NO_MONEY,
        "## Do next",
        "\n".join(f"{n}. {markdown(step)}" for n, step in enumerate(next_steps(record)[:ROWS_MAX], 1)),
        "## Checks",
        _table(("Check", "Verdict", "Result"), ((c.name, _SIGN[c.verdict], c.detail) for c in judged.checks)),
    ]
    if judged.thresholds:
        rows = ((limit.rule, limit.measured, _KEPT[limit.passed]) for limit in judged.thresholds)
        parts += ["## Thresholds", _table(("Rule", "Measured", "Kept"), rows)]
    if meta.faults:
        faults = (
            (fault_name(f), f"{f.at_s:g} s", _BIT[f.bit] if f.ran else "not run", f.evidence) for f in meta.faults
        )
        parts += ["## Faults", _table(("Fault", "At", "Bit", "Evidence"), faults)]
    if judged.figures:
        figures = ((says(name), shown(name, value)) for name, value in sorted(judged.figures.items()))
        parts += ["## Figures", _table(("Figure", "Measured"), figures)]
    missing = [
        f"{_cell(c.name)} ({_cell(c.why)})" if c.why else _cell(c.name) for c in judged.claims if not c.claimed
    ]
    if missing:
        parts += ["## Not claimed", ", ".join(missing)]
    parts += ["## Reproduce", f"    {' '.join(meta.reproduce.split())}"]
    return _bounded("\n\n".join(parts) + "\n")


def _cell(text: object) -> str:
    return markdown(text, longest=CELL_MAX)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    body = [f"| {' | '.join(_cell(cell) for cell in row)} |" for row in rows]
    left = len(body) - ROWS_MAX
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *body[:ROWS_MAX]]
    if left > 0:
        lines.append(f"\n{left} more are in verdict.json.")
    return "\n".join(lines)


def _bounded(text: str) -> str:
    raw = text.encode()
    if len(raw) < BYTES_MAX:
        return text
    note = "\n\nCut here; the rest is in report.html.\n"
    return raw[: BYTES_MAX - 100].decode(errors="ignore") + note
