"""load.json: the scenario as the load generator understands it."""

from __future__ import annotations

from pathlib import Path

from loadtest.plan import CashierLogin, ClerkPlan, Mix, Plan, TillPlan, Visit, Window
from rehearsal.plan.scenario import EDIT_KINDS, Scenario
from rehearsal.staging.shop import Shop

BACK_OFFICE = "backoffice"
ENOUGH = 12.0  # customers expected beyond twice those needed: with so many chance hardly ever brings too few


def load_plan(scenario: Scenario, shop: Shop, *, out_dir: Path, start_at_ms: int, business_date: str) -> Plan:
    """Return the plan for Locust."""
    load, back = scenario.load, scenario.backoffice
    mix = Mix(
        refund=load.refund_share, void=load.void_share, lookup=load.lookup_share,
        repeat_ok=load.repeat_ok_share, edited=load.edited_share,
    )  # fmt: skip
    names = list(shop.clerks)[: back.clerks] if back.rate_per_s > 0 else []
    each_per_s = back.rate_per_s / max(1, len(names))
    return Plan(
        seed=scenario.seed,
        out_dir=str(out_dir),
        catalogue=str(shop.catalogue.folder),
        tills=tuple(
            TillPlan(name=till, url=shop.url(till), rate_per_s=load.rate_per_s, cashiers=logins)
            for till, logins in zip(shop.tills, _logins(scenario, shop), strict=True)
        ),
        clerks=tuple(
            ClerkPlan(
                name=name,
                secret=shop.clerks[name],
                url=shop.offices[0],
                spare_urls=shop.offices[1:],
                rate_per_s=each_per_s,
            )
            for name in names
        ),
        start_at_ms=start_at_ms,
        duration_s=load.duration_s,
        mix=mix,
        business_date=business_date,
        sale_deadline_ms=load.sale_deadline_ms,
        pairs=shop.catalogue.pairs,
        windows=windows(scenario),
        visits=visits(scenario),
        shape=load.shape,
        leave_at_end=load.kind == "ramp",
        edits={kind: back.mix.get(kind, 0.0) for kind in EDIT_KINDS} if back.mix else {},
    )


def windows(scenario: Scenario) -> tuple[Window, ...]:
    """Return when who comes how often, from the stages: a till that is not in a stage does not sell in it."""
    found = []
    for stage in scenario.stages:
        idle = tuple(till for till in scenario.fleet.tills if till not in stage.tills)
        if idle:
            found.append(Window(from_s=stage.at_s, to_s=stage.ends_s, factor=0.0, who=idle))
        if stage.rate_factor != 1 and stage.tills:
            found.append(Window(from_s=stage.at_s, to_s=stage.ends_s, factor=stage.rate_factor, who=stage.tills))
        if not stage.edits:
            found.append(Window(from_s=stage.at_s, to_s=stage.ends_s, factor=0.0, who=(BACK_OFFICE,)))
    return tuple(found)


def visits(scenario: Scenario) -> tuple[Visit, ...]:
    """Return the customers who come within each fault that lasts, where chance might bring fewer than it needs.

    One more than asked for, since some only ask a price; spread over the middle of the fault, since it may begin
    late, and over the tills that it is felt at.
    """
    needed, found = scenario.load.min_sales_in_fault, list[Visit]()
    if not needed:
        return ()
    idle = [window for window in windows(scenario) if window.factor == 0]
    for fault in scenario.faults:
        felt = [till for till in scenario.fleet.tills if till in fault.targets] or list(scenario.fleet.tills)
        if scenario.load.rate_per_s * fault.for_s * len(felt) > 2 * needed + ENOUGH:
            continue
        for number in range(needed + 1 if fault.for_s > 0 else 0):
            till = felt[number % len(felt)]
            at_s = fault.at_s + fault.for_s * (0.2 + 0.6 * number / needed)
            if not any(till in window.who and window.from_s <= at_s < window.to_s for window in idle):
                found.append(Visit(till=till, at_s=at_s))
    return tuple(found)


def _logins(scenario: Scenario, shop: Shop) -> list[tuple[CashierLogin, ...]]:
    """Return each till's cashiers; nobody works at two tills."""
    each, people = scenario.load.cashiers_per_till, shop.catalogue.cashiers
    logins = [CashierLogin(cashier_id=who.cashier_id, pin=who.pin) for who in people]
    return [tuple(logins[n * each : (n + 1) * each]) for n in range(len(shop.tills))]
