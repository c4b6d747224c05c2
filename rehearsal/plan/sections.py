"""The parts of a scenario file, one reader for each; what is wrong is noted in the table's problems."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, cast, get_args

from rehearsal.plan.scenario import (
    EDIT_KINDS,
    PREPRODUCTION_ONLY,
    SHAPES,
    STAGE_CHECKS,
    STAGE_STEPS,
    BackOfficePlan,
    CataloguePlan,
    DrainPlan,
    FaultPlan,
    FleetPlan,
    FlipPlan,
    LoadPlan,
    RealPlan,
    StagePlan,
    SyncPlan,
)
from rehearsal.plan.table import TableReader, closest, shown
from rehearsal.plan.threshold import Threshold, ThresholdInvalid, parse_threshold

TILLS_MAX = 99
RATE_MAX = 1000.0
FACTOR_MAX = 1e6
Engine = Literal["auto", "toxiproxy", "builtin"]
NODES = ("server", "backoffice", "postgres")
PREPRODUCTION_NODES = ("preproduction", "backoffice-preproduction", "postgres-standby")
_COUNT = re.compile(r"(\d{1,9}) tills?")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


class FaultKinds(Protocol):
    """What the fault registry knows."""

    def kinds(self) -> Sequence[str]:
        """Return every kind."""

    def problems(self, kind: str, params: Mapping[str, Any], targets: Sequence[str]) -> Mapping[str, str]:
        """Return key → what is wrong with it, for the parameters and `targets` of a known kind."""

    def on_link(self, kind: str) -> bool:
        """Say whether a known kind changes a till's link, so that two at once would lift each other."""


def fleet_of(table: TableReader, profiles: Sequence[str]) -> FleetPlan:
    """Read [fleet]."""
    count = table.integer("tills", 2, low=1, high=TILLS_MAX)
    plan = FleetPlan(
        tills=tuple(f"T{number:02d}" for number in range(1, count + 1)),
        profile=table.text("profile", "site-1g-1.80", choices=profiles),
        till_database=table.text("till_database", "sqlite", choices=("sqlite", "postgresql")),
        fault_engine=cast(Engine, table.text("fault_engine", "auto", choices=get_args(Engine))),
        preproduction=table.switch("preproduction", False),
        patience_s=table.seconds("patience", 1.0, low=0.2, high=60),
        tls=table.switch("tls", True),
        line_kb_s=table.integer("line_kb_s", 0, low=0, high=1_000_000),
    )
    table.done()
    return plan


def load_of(table: TableReader) -> LoadPlan:
    """Read [load]."""
    duration_s = table.seconds("duration", low=1)
    rate_per_s = table.number("rate", 1.0, low=0.01, high=RATE_MAX)
    kind, shape = _shape_of(table.table("shape"), duration_s, rate_per_s)
    plan = LoadPlan(
        duration_s=duration_s,
        rate_per_s=rate_per_s,
        kind=kind,
        shape=shape,
        refund_share=table.number("refunds", 0.03, low=0, high=0.5),
        void_share=table.number("voids", 0.02, low=0, high=0.3),
        repeat_ok_share=table.number("repeats", 0.02, low=0, high=1),
        edited_share=table.number("edited", 0.005, low=0, high=1),
        lookup_share=table.number("lookups", 0.1, low=0, high=0.5),
        cashiers_per_till=table.integer("cashiers", 1, low=1, high=20),
        sale_deadline_ms=round(table.seconds("deadline", 10.0, low=0.1, high=120) * 1000),
        min_sales=table.integer("min_sales", 1, low=0, high=10**9),
        min_sales_in_fault=table.integer("min_sales_in_fault", 0, low=0, high=10**6),
    )
    if plan.refund_share + plan.void_share + plan.lookup_share > 1:
        key = next((key for key in ("lookups", "refunds", "voids") if table.has(key)), "lookups")
        table.wrong(key, "refunds, voids and lookups together are more than 1")
    table.done()
    return plan


def _shape_of(
    table: TableReader, duration_s: float, rate_per_s: float
) -> tuple[str, tuple[tuple[float, float], ...]]:
    """Read load.shape: its kind, and (second, factor of the rate)."""
    kind = table.text("kind", "steady", choices=SHAPES)
    points: list[tuple[float, float]] = []
    if kind != "steady":
        factor = table.number("to", low=0, high=RATE_MAX) / max(rate_per_s, 0.01)
        points = [(0.0, 1.0), (duration_s, factor)]
    if kind == "spike":
        at_s, for_s = table.seconds("at"), table.seconds("for", low=0.1)
        points = [(at_s, 1.0), (at_s, factor), (at_s + for_s, factor), (at_s + for_s, 1.0)]
        if at_s + for_s > duration_s:
            table.wrong("for", f"the spike ends at {at_s + for_s:g} s, the load already at {duration_s:g} s")
    table.done()
    return kind, tuple(points)


def sync_of(table: TableReader, fleet: FleetPlan) -> SyncPlan:
    """Read [sync]."""
    windows = []
    for item in table.tables("real_windows"):
        bounds = item.text("from"), item.text("to")
        for key, value in zip(("from", "to"), bounds, strict=True):
            if not _CLOCK.fullmatch(value):
                item.wrong(key, f'{value!r} is not a time of day; write "11:30"')
        windows.append(bounds)
        item.done()
    plan = SyncPlan(
        reply_budget_ms=round(table.seconds("reply_budget", 0.1, high=10) * 1000),
        scheduled_every_s=table.seconds("every", low=1) if table.has("every") else None,
        scheduled_only=_tills(table, "scheduled_only", fleet),
        real_windows=tuple(windows),
    )
    if plan.scheduled_only and plan.scheduled_every_s is None:
        table.wrong("scheduled_only", "needs `every`, or these tills would never synchronise")
    table.done()
    return plan


def catalogue_of(table: TableReader) -> CataloguePlan:
    """Read [catalogue]."""
    plan = CataloguePlan(
        products=table.integer("products", 1000, low=10, high=2_000_000),
        vendors=table.integer("vendors", 50, low=1, high=100_000),
        pairs=table.integer("pairs", 10, low=0, high=1000),
        stock_pieces=table.integer("stock", 1000, low=0, high=10**6),
    )
    if plan.pairs * 2 > plan.products:
        table.wrong("pairs", f"{plan.pairs} pairs need {plan.pairs * 2} products, there are {plan.products}")
    table.done()
    return plan


def backoffice_of(table: TableReader) -> BackOfficePlan:
    """Read [backoffice]."""
    mix = table.raw("mix")
    factors: dict[str, float] = {}
    for kind, factor in mix.items() if isinstance(mix, dict) else ():
        if kind not in EDIT_KINDS:
            table.wrong("mix", f"unknown edit {kind!r}; known: {', '.join(EDIT_KINDS)}{closest(kind, EDIT_KINDS)}")
        elif isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 <= factor <= FACTOR_MAX:
            table.wrong("mix", f"{kind} = {shown(factor)} is not a factor (0 to {FACTOR_MAX:g})")
        else:
            factors[kind] = float(factor)
    if mix is not None and not isinstance(mix, dict):
        table.wrong("mix", "not a table; write { price = 2, product = 1 }")
    if factors and not any(factors.values()):
        table.wrong("mix", "every factor is 0, so no edit could be drawn; for no edits set rate to 0")
    plan = BackOfficePlan(
        clerks=table.integer("clerks", 0, low=0, high=50),
        rate_per_s=table.number("rate", 0.0, low=0, high=1000),
        mix=factors,
    )
    table.done()
    return plan


def drain_of(table: TableReader) -> DrainPlan:
    """Read [drain]."""
    plan = DrainPlan(deadline_s=table.seconds("deadline", 60.0, low=1))
    table.done()
    return plan


def real_of(table: TableReader) -> RealPlan:
    """Read [real]."""
    plan = RealPlan(
        products=table.integer("products", 0, low=0, high=10**9),
        sales_per_till_day=table.integer("sales_per_till_day", 0, low=0, high=10**7),
        window_minutes=table.integer("window_minutes", 0, low=0, high=1440),
    )
    table.done()
    return plan


def stage_of(table: TableReader, fleet: FleetPlan, load: LoadPlan) -> StagePlan:
    """Read one of [[stages]]."""
    real_at = table.text("real_at", "")
    if real_at and not _CLOCK.fullmatch(real_at):
        table.wrong("real_at", f'{real_at!r} is not a time of day; write "11:30"')
    plan = StagePlan(
        name=table.text("name"),
        title=table.text("title", table.text("name", "")),
        at_s=table.seconds("at"),
        for_s=table.seconds("for"),
        tills=_tills(table, "tills", fleet) if table.has("tills") else fleet.tills,
        rate_factor=table.number("rate_factor", 1.0, low=0, high=100),
        edits=table.switch("edits", True),
        steps=table.strings("steps", choices=STAGE_STEPS),
        checks=table.strings("checks", choices=STAGE_CHECKS),
        targets=_tills(table, "targets", fleet) if table.has("targets") else (),
        gate=table.switch("gate", False),
        real_at=real_at or None,
        real_for_s=table.seconds("real_for", low=1) if table.has("real_for") else None,
    )
    alone = sorted(PREPRODUCTION_ONLY & {*plan.steps, *plan.checks}) if not fleet.preproduction else []
    if alone:
        table.wrong(
            "steps" if alone[0] in plan.steps else "checks", f"{alone[0]} needs preproduction = true in [fleet]"
        )
    if plan.gate and not plan.checks:
        table.wrong("gate", "a gate needs checks, or it would always be open")
    if plan.ends_s > load.duration_s + 1e-9:
        table.wrong("for", f"the stage ends at {plan.ends_s:g} s, the load already at {load.duration_s:g} s")
    table.done()
    return plan


def fault_of(
    table: TableReader, fleet: FleetPlan, load: LoadPlan, kinds: FaultKinds, chooser: random.Random
) -> FaultPlan:
    """Read one of [[faults]]; `chooser` draws targets that are given by number."""
    kind = table.text("kind", choices=tuple(kinds.kinds()))
    targets = _targets(table, fleet, chooser)
    at_s = table.seconds("at")
    for_s = table.seconds("for", 0.0)
    if at_s + for_s > load.duration_s:
        table.wrong("at", f"the fault ends at {at_s + for_s:g} s, the load already at {load.duration_s:g} s")
    params = table.rest()
    if kind in kinds.kinds():
        for key, problem in kinds.problems(kind, params, targets).items():
            table.wrong(key, problem)
    return FaultPlan(
        kind=kind,
        targets=targets,
        at_s=at_s,
        for_s=for_s,
        params=params,
        line=table.problems.lines.get(table.path, 0),
    )


def flip_of(table: TableReader, load: LoadPlan) -> FlipPlan:
    """Read one of [[flips]]."""
    plan = FlipPlan(
        at_s=table.seconds("at"),
        announce_s=table.seconds("announce"),
        products=table.integer("products", 50, low=1, high=500),
        percent=table.integer("percent", 10, low=-90, high=900),
    )
    if not plan.announce_s < plan.at_s <= load.duration_s:
        table.wrong("at", "a flip is announced before it is due, and due before the load ends")
    table.done()
    return plan


def _targets(table: TableReader, fleet: FleetPlan, chooser: random.Random) -> tuple[str, ...]:
    """Return a fault's targets: a list of nodes, or `2 tills` drawn by the seed, or `all tills`."""
    value = table.raw("targets")
    if value == "all tills":
        return fleet.tills
    if isinstance(value, str) and (count := _COUNT.fullmatch(value)):
        wanted = int(count[1])
        if not 1 <= wanted <= len(fleet.tills):
            table.wrong("targets", f"{value!r}: there are {len(fleet.tills)} tills")
            return ()
        return tuple(sorted(chooser.sample(fleet.tills, wanted)))
    nodes = (*NODES, *PREPRODUCTION_NODES) if fleet.preproduction else NODES
    return _known(table, "targets", (*fleet.tills, *nodes))


def _tills(table: TableReader, key: str, fleet: FleetPlan) -> tuple[str, ...]:
    """Return tills by name, or the first so many when the value is a number."""
    value = table.raw(key)
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value <= TILLS_MAX:
            table.wrong(key, f"{shown(value)} is out of range; allowed: 0 to {len(fleet.tills)}")
        return fleet.tills[: max(value, 0)]
    return _known(table, key, fleet.tills)


def _known(table: TableReader, key: str, known: Sequence[str]) -> tuple[str, ...]:
    value = table.strings(key)
    if table.has(key) and not value:
        table.wrong(key, "is empty")
    for name in value:
        if name not in known:
            what = "till" if re.fullmatch(r"T\d+", name) else "node"
            table.wrong(key, f"unknown {what} {name!r}; there are {_span(known)}{closest(name, known)}")
    if not table.has(key) and key == "targets":
        table.wrong(key, f'is missing; write ["T01"], "2 tills" or "all tills"; nodes are {_span(known)}')
    return value


def _span(names: Sequence[str]) -> str:
    tills = [name for name in names if name.startswith("T")]
    others = [name for name in names if name not in tills]
    span = [f"{tills[0]} to {tills[-1]}"] if len(tills) > 1 else tills
    return ", ".join([*span, *others])


def thresholds_of(root: TableReader) -> tuple[Threshold, ...]:
    """Read `thresholds`."""
    found = []
    for rule in root.strings("thresholds"):
        try:
            found.append(parse_threshold(rule))
        except ThresholdInvalid as error:
            root.wrong("thresholds", str(error))
    return tuple(found)
