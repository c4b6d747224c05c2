"""A suite's combined report: suite.json, suite.txt and suite.html in the suite's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from markupsafe import Markup

from rehearsal.model import Outcome
from rehearsal.report import figures
from rehearsal.report.chart import Band, Limit, Series, plot
from rehearsal.report.html import environment
from rehearsal.report.text import visible
from rehearsal.suite.plan import Suite
from rehearsal.suite.run import Ran, relative, title

SCHEMA = 1
TONES = {Outcome.GO: "good", Outcome.NO_GO: "bad", Outcome.INCONCLUSIVE: "open"}
SHOWN = ("sales", "sale.p50", "sale.p99", "sale.refused", "sync.lag.p99", "memory.peak", "drain")
NOT_KNOWN = "not known: none of the watched resources was at its limit"


def write_suite(folder: Path, suite: Suite, done: tuple[Ran, ...], *, outcome: Outcome, why: str) -> Path:
    """Write the three files and return the page."""
    data = as_data(folder, suite, done, outcome=outcome, why=why)
    (folder / "suite.json").write_bytes(msgspec.json.format(msgspec.json.encode(data), indent=2) + b"\n")
    (folder / "suite.txt").write_text(as_text(done, outcome=outcome, why=why), encoding="utf-8")
    page = folder / "suite.html"
    page.write_text(as_html(folder, suite, done, outcome=outcome, why=why), encoding="utf-8")
    return page


def as_text(done: tuple[Ran, ...], *, outcome: Outcome, why: str) -> str:
    """Return the suite for a terminal."""
    lines = []
    for ran in done:
        lines.append(f"{ran.outcome:<12} {title(ran.planned)}")
        lines.append(f"             {visible(ran.why)}")
        if ran.capacity is not None:
            lines.append(f"             ran out: {'; '.join(ran.capacity.ran_out) or NOT_KNOWN}")
            lines.append(f"             the most that was done: {ran.capacity.most_per_s:.1f} receipts/s")
        known = _figures(ran)
        if known:
            lines.append("             " + ", ".join(f"{name} {value}" for name, value in known.items()))
    return "\n".join([*lines, "", f"{outcome}: {why}"]) + "\n"


def as_data(folder: Path, suite: Suite, done: tuple[Ran, ...], *, outcome: Outcome, why: str) -> dict[str, Any]:
    """Return what suite.json holds; times in seconds, latencies in ms, rates in receipts per second."""
    return {
        "schema": SCHEMA, "suite": suite.name, "title": suite.title, "outcome": outcome.value, "why": why,
        "planned": len(suite.runs), "runs": [_run_data(folder, ran) for ran in done],
    }  # fmt: skip


def _run_data(folder: Path, ran: Ran) -> dict[str, Any]:
    planned = ran.planned
    return {
        "name": planned.name, "scenario": planned.scenario.name, "profile": planned.scenario.fleet.profile,
        "tills": len(planned.scenario.fleet.tills), "load": msgspec.to_builtins(planned.load),
        "outcome": ran.outcome.value, "why": ran.why,
        "folder": None if ran.record is None else relative(ran.record, folder),
        "reproduce": planned.options.reproduce(planned.scenario.seed),
        "figures": {} if ran.record is None else ran.record.judgement.figures,
        "thresholds": [] if ran.record is None else msgspec.to_builtins(ran.record.judgement.thresholds),
        "capacity": None if ran.capacity is None else msgspec.to_builtins(ran.capacity),
        "stretches": [msgspec.to_builtins(stretch) for stretch in ran.stretches],
    }  # fmt: skip


def as_html(folder: Path, suite: Suite, done: tuple[Ran, ...], *, outcome: Outcome, why: str) -> str:
    """Return the page."""
    template = environment().get_template("suite.html.j2")
    return template.render(
        suite=suite,
        outcome=outcome.value,
        tone=TONES[outcome],
        why=why,
        not_known=NOT_KNOWN,
        says=figures.says,
        columns=SHOWN,
        runs=[
            {
                "title": title(ran.planned), "ran": ran, "tone": TONES[ran.outcome], "figures": _figures(ran),
                "folder": None if ran.record is None else relative(ran.record, folder),
                "throughput": _throughput(ran), "latency": _latency(ran),
            }
            for ran in done
        ],
    )  # fmt: skip


def _figures(ran: Ran) -> Mapping[str, str]:
    if ran.record is None:
        return {}
    known = ran.record.judgement.figures
    return {name: figures.shown(name, known[name]) for name in SHOWN if name in known}


def _bands(ran: Ran) -> tuple[Band, ...]:
    """Shade from where a threshold broke to the end."""
    if ran.capacity is None or ran.capacity.from_s is None or not ran.stretches:
        return ()
    return (Band(label=f"{ran.capacity.broke} broken", from_s=ran.capacity.from_s, to_s=ran.stretches[-1].to_s),)


def _throughput(ran: Ran) -> Markup | None:
    if not ran.stretches:
        return None
    middles = [(part.from_s + part.to_s) / 2 for part in ran.stretches]
    asked = tuple((at, part.asked_per_s) for at, part in zip(middles, ran.stretches, strict=True))
    done = tuple((at, part.done_per_s) for at, part in zip(middles, ran.stretches, strict=True))
    limits = []
    if ran.capacity is not None:
        limits = [Limit(label=f"capacity {ran.capacity.per_s:.1f}/s", value=ran.capacity.per_s)]
    return plot(
        title="Receipts", unit="per second, all tills", duration_s=ran.stretches[-1].to_s, bands=_bands(ran),
        limits=limits,
        series=[Series(name="asked for", points=asked, tone=1), Series(name="done", points=done, tone=0)],
    )  # fmt: skip


def _latency(ran: Ran) -> Markup | None:
    if not ran.stretches:
        return None
    series = [
        Series(
            name=name.removeprefix("sale."), tone=tone,
            points=tuple(((p.from_s + p.to_s) / 2, p.figures.get(name)) for p in ran.stretches),
        )
        for name, tone in (("sale.p50", 1), ("sale.p99", 2))
    ]  # fmt: skip
    rules = ran.planned.capacity.until if ran.planned.capacity is not None else ran.planned.scenario.thresholds
    limits = [
        Limit(label=rule.rule, value=rule.limit)
        for rule in rules
        if rule.figure in ("sale.p50", "sale.p99") and rule.limit is not None
    ]
    return plot(
        title="Sale latency", unit="ms, from the intended start, logarithmic", series=series, limits=limits,
        duration_s=ran.stretches[-1].to_s, bands=_bands(ran), log=True,
    )  # fmt: skip
