"""meta.json: what no other evidence file holds, put together at the end of a run."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

from rehearsal.announce import options_shown
from rehearsal.drive.recording import AS_RUN
from rehearsal.drive.selling import Sold
from rehearsal.model import META_SCHEMA, Load, Machine, Meta
from rehearsal.plan.scenario import Scenario
from rehearsal.run_state import Run
from rehearsal.settle.record import fleet_facts, versions
from rehearsal.staging.shop import Shop


def meta_of(run: Run, shop: Shop, sold: Sold, *, counted: tuple[Machine, ...], late_p99_ms: float | None) -> Meta:
    """Return a run's facts; digests come when the evidence is sealed."""
    scenario, load = run.scenario, run.scenario.load
    return Meta(
        schema=META_SCHEMA,
        run_id=run.folder.name,
        scenario=scenario.name,
        title=scenario.title,
        seed=scenario.seed,
        commit=run.commit,
        started=run.begun.isoformat(timespec="seconds"),
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
        reproduce=_reproduce(run),
        options=options_shown(run.options, scenario),
        fleet=fleet_facts(shop.fleet, scenario, shop.caps, shop.tills),
        load=Load(
            started_ms=sold.started_ms,
            ended_ms=sold.ended_ms,
            rate_per_s=load.rate_per_s * len(shop.tills),
            edits_per_s=scenario.backoffice.rate_per_s,
            products=shop.catalogue.products,
            business_dates=(run.business_date, *sorted({one.next_date for one in sold.cleaned})),
            min_sales=load.min_sales,
            min_sales_in_fault=load.min_sales_in_fault,
            sale_deadline_ms=load.sale_deadline_ms,
            generator_exit=sold.generator_exit,
            generator_late_p99_ms=late_p99_ms,
        ),
        drain=run.drained,
        stages=(*sold.stages, *run.stages),
        faults=sold.faults,
        thresholds=tuple(threshold.rule for threshold in scenario.thresholds),
        claims=_claims(scenario, shop),
        machines=counted,
        versions=versions(),
        parity=sold.parity,
        failovers=sold.failovers,
        operator_started=sold.operator_started,
        left_behind=(*run.left_behind, *sold.left_behind),
        real={name: float(value) for name, value in _real(scenario) if value},
        expected_z=() if run.interrupted else _expected_z(run, shop, sold),
        pairs=shop.catalogue.pairs,
        clock_error=_clock_error(scenario),
        losses=tuple(sold.disks.losses) if sold.disks else (),
        cleaned=sold.cleaned,
        restores=tuple(sold.backups.restores) if sold.backups else (),
        clones=tuple(sold.disks.clones) if sold.disks else (),
        stale_bound_s=scenario.stale_bound_s,
        currency=scenario.currency,
        interventions=run.watch.control.done(),
        interrupted=run.interrupted,
        trouble=tuple(run.trouble),
    )


def _reproduce(run: Run) -> str:
    """Return the command that runs the same again; with faults by hand, the scenario that has them too."""
    if run.watch.control.done():
        return shlex.join(["tillproof", "run", str(run.options.reports / run.folder.name / AS_RUN)])
    return run.options.reproduce(run.scenario.seed)


def _expected_z(run: Run, shop: Shop, sold: Sold) -> tuple[tuple[str, str], ...]:
    """Return the dates that must be closed: a cleaned till's before its cleaning, and its next."""
    later = [(one.till, one.next_date) for one in sold.cleaned]
    return (*((till, run.business_date) for till in shop.tills), *later)


def _claims(scenario: Scenario, shop: Shop) -> tuple[str, ...]:
    """Return the scenario's claims; the hardware can't be claimed where the kernel does not cap all of it."""
    capped = all(counted.capped for name, counted in shop.fleet.counters().items() if name in shop.tills)
    return tuple(claim for claim in scenario.claims if claim != "hardware" or capped)


def _real(scenario: Scenario) -> list[tuple[str, int]]:
    real = scenario.real
    return [
        ("products", real.products),
        ("sales_per_till_day", real.sales_per_till_day),
        ("window_minutes", real.window_minutes),
    ]


def _clock_error(scenario: Scenario) -> dict[str, int]:
    """Return by how much faults move the tills' clocks."""
    moved: dict[str, int] = {}
    for fault in scenario.faults:
        if fault.kind == "clock_jump":
            for till in fault.targets:
                by_ms = abs(int(fault.params.get("offset_ms", 0)))
                moved[till] = max(moved.get(till, 0), by_ms)
    return moved
