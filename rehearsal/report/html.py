"""report.html: the run on one page that opens offline and prints.

Everything foreign goes through `visible` and Jinja's escaping. The page's own policy forbids outside addresses and
every script but the one that sorts its tables, which it names by its hash, so that a product name can do no harm;
without scripts the page is whole, and unsorted.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import jinja2
from markupsafe import Markup

from rehearsal.model import CheckResult, Outcome, RunRecord
from rehearsal.plan.threshold import ThresholdInvalid, parse_threshold
from rehearsal.report import figures
from rehearsal.report.advice import PROMISE, next_steps
from rehearsal.report.chart import Limit, Points, Series, plot, strip, time_axis
from rehearsal.report.lanes import fault_bands, fault_lanes, fault_span, stage_bands, stage_lanes
from rehearsal.report.text import NO_MONEY, clock, instant, money, number, place, plainly, visible
from rehearsal.report.verdict import EVIDENCE_SHOWN, findings_file
from rehearsal.report.view import View

DAYS_MAX = 400
ROWS_MAX = 200
TILLS_CHARTED = 40
FAULTS_MAX = 300
CELL_MAX = 300
MASTER_CHECKS = ("masters", "documents", "edits", "prices", "stock")
_HERE = Path(__file__).parent


def environment() -> jinja2.Environment:
    """Return the templates' environment: escaping on, an undefined name is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup | int | float) else visible(value),
    )
    made.filters.update(
        money=money,
        number=number,
        clock=clock,
        instant=instant,
        plainly=plainly,
        cell=partial(visible, longest=CELL_MAX),
    )
    script = (_HERE / "templates" / "sort.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sorting, sorting_hash = Markup(script), Markup(f"'sha256-{digest}'")  # noqa: S704 - our own file and its hash
    made.globals.update(
        says=figures.says, figure=figures.shown, measured=figures.measured, promise=PROMISE,
        findings_file=findings_file, known=figures.known, sorting=sorting, sorting_hash=sorting_hash,
    )  # fmt: skip
    return made


def report_html(record: RunRecord, view: View) -> str:
    """Return report.html's text."""
    judged = record.judgement
    main, other = figures.main_first({k: v for k, v in judged.figures.items() if not k.startswith("failover")})
    days = sorted(view.days, key=lambda day: (day.agrees, day.till, day.date))[:DAYS_MAX]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            meta=record.meta,
            judged=judged,
            outcome=judged.verdict.value,
            tone={Outcome.GO: "good", Outcome.NO_GO: "bad", Outcome.INCONCLUSIVE: "open"}[judged.verdict],
            steps=next_steps(record),
            claimed=[claim for claim in judged.claims if claim.claimed],
            unclaimed=[claim for claim in judged.claims if not claim.claimed],
            real=real_rows(record),
            days=days,
            days_left=len(view.days) - len(days),
            total=days_total(view),
            timeline=timeline(record, view),
            experience=_named(judged.checks, ("experience",)),
            masters=_named(judged.checks, MASTER_CHECKS),
            failover=_named(judged.checks, ("failover",)),
            failover_figures=figures.of_failover(judged.figures),
            figures=main,
            other_figures=other,
            till_times=view.latency.tills[:ROWS_MAX],
            machines=record.meta.machines[:ROWS_MAX],
            faults=[(fault, *fault_span(record, fault)) for fault in record.meta.faults[:FAULTS_MAX]],
            faults_left=max(len(record.meta.faults) - FAULTS_MAX, 0),
            columns=columns,
            shown_findings=EVIDENCE_SHOWN,
            gaps=view.gaps,
            witnesses=_witnesses(record),
            no_money=NO_MONEY,
            check=shlex.join(["tillproof", "check", str(place(record.folder))]),
        )
    )


def timeline(record: RunRecord, view: View) -> Markup:
    """Return the lanes and charts, all over one time axis."""
    length = view.duration_s
    bands = (*stage_bands(record), *fault_bands(record))
    limits = [
        Limit(label=rule.rule, value=value)
        for rule in record.judgement.thresholds
        for value in [_sale_limit_ms(rule.rule)]
        if value is not None
    ]
    return environment().get_template("timeline.html.j2").module.timeline(  # type: ignore[attr-defined, no-any-return]
        stages=stage_lanes(record, length),
        faults=fault_lanes(record, length),
        axis=time_axis(length),
        throughput=plot(
            title="Receipts", unit="per second, all tills", duration_s=length, bands=bands,
            series=[Series(name="ok", points=view.sales, tone=0, area=True)],
        ),
        latency=plot(
            title="Sale latency", unit="ms, from the intended start, logarithmic", duration_s=length, bands=bands,
            limits=limits, log=True,
            series=[
                Series(name="p50, middle till", points=holed(view.latency.p50), tone=1),
                Series(name="p99, worst till", points=holed(view.latency.p99), tone=2),
            ],
        ),
        backlog=_strips(record, view),
        backlog_top=_top(view.backlog.values()),
        tills_left=max(len(view.backlog) - TILLS_CHARTED, 0),
        cpu=plot(
            title="The rehearsal's machine", unit="% of all processors busy", duration_s=length, bands=(),
            series=[Series(name="busy", points=view.cpu, tone=3)],
        ) if view.cpu else None,
    )  # fmt: skip


def holed(points: Points) -> Points:
    """Return points with a hole after each gap of more than five seconds, so that no line bridges it."""
    found: list[tuple[float, float | None]] = []
    for at, value in points:
        if found and at - found[-1][0] > 5:
            found.append((found[-1][0] + 1, None))
        found.append((at, value))
    return tuple(found)


def days_total(view: View) -> dict[str, int]:
    """Return the sums of the settlement's columns."""
    receipts = ("receipts_till", "receipts_server")
    gross = ("gross_cashiers", "gross_till", "gross_z", "gross_server", "gross_settled")
    return {name: sum(getattr(day, name) or 0 for day in view.days) for name in receipts + gross}


def real_rows(record: RunRecord) -> list[tuple[str, str, str]]:
    """Return what was rehearsed beside what the scenario says of the shop: (figure, rehearsed, real)."""
    meta, load = record.meta, record.meta.load
    minutes = max((load.ended_ms - load.started_ms) / 60_000, 0)
    per_till = record.judgement.sales.ok / max(len(meta.fleet.tills), 1)
    known = {
        "products": ("Articles", float(load.products)),
        "sales_per_till_day": ("Receipts per till (real: a day)", per_till),
        "window_minutes": ("Minutes of selling (real: the sync window)", minutes),
    }
    rows = [
        (
            label,
            number(round(value, 1)),
            number(meta.real[name]) if meta.real.get(name) else "the scenario does not say",
        )
        for name, (label, value) in known.items()
    ]
    rows += [
        (figures.says(name), "\N{EN DASH}", number(value))
        for name, value in meta.real.items()
        if name not in known
    ]
    busiest = per_till / minutes * 60 if minutes else 0
    rows.append(("Receipts per till and hour, as rehearsed", number(round(busiest)), "\N{EN DASH}"))
    return rows


def columns(check: CheckResult) -> tuple[str, ...]:
    """Return the columns of the findings that the page shows, in the order in which they first occur."""
    return tuple(dict.fromkeys(name for row in check.evidence[:EVIDENCE_SHOWN] for name in row))


def _strips(record: RunRecord, view: View) -> list[tuple[str, Markup, float]]:
    top = _top(view.backlog.values())
    by_peak = sorted(view.backlog, key=lambda till: -_top([view.backlog[till]]))[:TILLS_CHARTED]
    return [
        (
            till,
            strip(
                view.backlog[till],
                duration_s=view.duration_s,
                top=top,
                bands=fault_bands(record, till),
                label=f"Backlog of {till}: at most {number(_top([view.backlog[till]]))} entries",
            ),
            _top([view.backlog[till]]),
        )
        for till in sorted(by_peak)
    ]


def _top(lines: Iterable[Points]) -> float:
    return max((value for points in lines for _, value in points if value is not None), default=0.0)


def _sale_limit_ms(rule: str) -> float | None:
    """Return the limit of a rule on the p99 of all sales, which can be drawn into the latency chart."""
    try:
        limit = parse_threshold(rule)
    except ThresholdInvalid:
        return None
    return limit.limit if limit.figure in ("sale.p99", "sale.window.p99") else None


def _named(checks: Iterable[CheckResult], names: tuple[str, ...]) -> list[CheckResult]:
    return [check for check in checks if check.name in names]


def _witnesses(record: RunRecord) -> list[tuple[str, int, int]]:
    """Return the money line: (witness, receipts, gross in minor units); nothing where nothing is known."""
    sales = record.judgement.sales
    if not sales.known:
        return []
    gross = sales.gross_minor
    seen = "Cashiers, less what is declared lost" if sales.lost else "Cashiers"
    return [
        (seen, sales.ok - sales.lost, gross.cashiers - gross.lost),
        ("Tills", sales.on_tills, gross.tills),
        ("Server", sales.on_server, gross.server),
    ]
