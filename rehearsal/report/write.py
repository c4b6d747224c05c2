"""Writing a run's report: the page, verdict.json, findings/, and what CI servers and dashboards read.

Each file is written beside its name and moved into place, so that a reader never meets half a file.
verdict.json comes last: where it is, the others are.
"""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

from rehearsal.evidence.reader import Evidence
from rehearsal.model import CheckResult, RunRecord
from rehearsal.report.benchmark import benchmark_json
from rehearsal.report.html import report_html
from rehearsal.report.junit import junit_xml
from rehearsal.report.metrics import metrics_txt
from rehearsal.report.summary import summary_md
from rehearsal.report.verdict import FINDINGS_FOLDER, findings_file, to_json, verdict_of
from rehearsal.report.view import view_of


def write_report(record: RunRecord) -> Path:
    """Write all files of a run's report into its folder, over those of an earlier judgement.

    Returns the path of report.html. Raises OSError when a file can't be written.
    """
    view = view_of(Evidence(record.evidence), record.meta)
    verdict = verdict_of(record)
    shutil.rmtree(record.folder / FINDINGS_FOLDER, ignore_errors=True)
    files = {name: findings_csv(check) for check in record.judgement.checks if (name := findings_file(check))}
    files |= {
        "report.html": report_html(record, view),
        "junit.xml": junit_xml(verdict),
        "summary.md": summary_md(record),
        "metrics.txt": metrics_txt(verdict),
        "benchmark.json": benchmark_json(verdict, view),
        "verdict.json": to_json(verdict),
    }
    for name, text in files.items():
        _write(record.folder / name, text)
    return record.folder / "report.html"


def lead_to(folder: Path, *, latest: str) -> str:
    """Let a link beside a folder lead to it; return why it can't: a disk has none, or a folder has its name."""
    fresh = folder.with_name(f".{latest}-{folder.name}")
    try:
        fresh.symlink_to(folder.name)
        fresh.replace(folder.with_name(latest))
    except OSError as error:
        fresh.unlink(missing_ok=True)
        return f"{latest} does not lead to it: {error.strerror}"
    return ""


def findings_csv(check: CheckResult) -> str:
    """Return all findings of a check as CSV. A cell that a spreadsheet would take for a formula is quoted."""
    names = tuple(dict.fromkeys(name for row in check.evidence for name in row))
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(_inert(name) for name in names)
    out.writerows([_inert(row.get(name, "")) for name in names] for row in check.evidence)
    return text.getvalue()


def _inert(cell: str) -> str:
    """Return a cell that starts no formula; numbers stay numbers."""
    plain = cell.removeprefix("-")
    if cell[:1] in ("=", "+", "@", "\t", "\r", "-") and not plain.replace(".", "", 1).isdigit():
        return "'" + cell
    return cell


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(text, encoding="utf-8", newline="")
    beside.replace(path)
