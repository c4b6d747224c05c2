"""What a load run is asked to do, read from load.json or made from Locust's own command line.

Keeps one property: a plan is complete and checked before the first request, and every error names the key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

Shape = tuple[tuple[float, float], ...]
NAME_PATTERN = r"[A-Z0-9-]{1,16}"


class PlanInvalid(Exception):
    """The plan can't be used; the message says which file and key, and what is allowed."""


class CashierLogin(msgspec.Struct, frozen=True, kw_only=True):
    """A person at a till: id and PIN."""

    cashier_id: str
    pin: str


class TillPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A till under load. `rate_per_s` is the till's, shared by its cashiers."""

    name: str
    url: str
    rate_per_s: float
    cashiers: tuple[CashierLogin, ...]


class ClerkPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A back-office clerk: credential, back office, documents per second; where to go when that takes nothing."""

    name: str
    secret: str
    url: str
    rate_per_s: float
    spare_urls: tuple[str, ...] = ()


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of 1: of arrivals that refund or void or only ask a price, of ok operations repeated or edited."""

    refund: float = 0.04
    void: float = 0.02
    lookup: float = 0.10
    repeat_ok: float = 0.02
    edited: float = 0.005


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """From `from_s` to `to_s` after the start, arrivals come `factor` times as often; 0: none come.

    `who` names the tills it is about, `backoffice` for clerks; empty: everybody.
    """

    from_s: float
    to_s: float
    factor: float
    who: tuple[str, ...] = ()


class Visit(msgspec.Struct, frozen=True, kw_only=True):
    """A customer who comes to a till `at_s` after the start, whatever chance says."""

    till: str
    at_s: float


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole load run.

    seed              decides baskets, documents and arrival times
    start_at_ms       epoch ms of the schedule's zero; None: when each cashier begins
    duration_s        length of the schedule; None: until stopped
    sale_deadline_ms  after this long without an answer the outcome of an operation is unknown
    grace_s           how long unknown outcomes are asked for again after the schedule's end
    pairs             (sku, sku, sum): prices whose sum is constant in every committed state
    edits             kind of document → how many times as often as usual it is drawn; absent kinds: once
    in_flight_max     customers served at once by one cashier's seat; more wait, and their latency shows it
    shape             (seconds, factor) of the cashiers' rate, linear in between; empty: level
    visits            customers beside those that the rates bring
    leave_at_end      customers still waiting when the schedule ends go away unserved, instead of being served late
    """

    seed: int
    out_dir: str
    catalogue: str
    tills: tuple[TillPlan, ...]
    clerks: tuple[ClerkPlan, ...] = ()
    start_at_ms: int | None = None
    duration_s: float | None = None
    mix: Mix = Mix()
    business_date: str | None = None
    sale_deadline_ms: int = 5000
    grace_s: float = 10.0
    float_cash: int = 20_000
    pairs: tuple[tuple[str, str, int], ...] = ()
    windows: tuple[Window, ...] = ()
    edits: dict[str, float] = {}
    in_flight_max: int = 16
    shape: Shape = ()
    visits: tuple[Visit, ...] = ()
    leave_at_end: bool = False

    @property
    def run_key(self) -> str:
        """Name this run in operation ids, so that a second run against the same tills reuses none."""
        return f"{self.seed}-{self.start_at_ms}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """One cashier's place at one till, or one clerk's desk: the unit that a Locust user takes.

    `index` is its number among all seats of its kind, `slot` its number at its till. `again` says that somebody
    had it before: what was due until now was theirs.
    """

    kind: str
    index: int
    place: int
    slot: int
    again: bool = False


def read_plan(path: Path) -> Plan:
    """Return the plan in a JSON file. Raises PlanInvalid."""
    try:
        plan = msgspec.json.decode(path.read_bytes(), type=Plan)
    except OSError as error:
        raise PlanInvalid(f"{path}: can't be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PlanInvalid(f"{path}: {error}") from error
    check_plan(plan, source=str(path))
    return plan


def check_plan(plan: Plan, *, source: str) -> None:
    """Raise PlanInvalid when a value is out of its bounds; the message names source and key."""
    faults = [
        *_named_faults(plan),
        *_bound_faults(plan),
    ]
    if faults:
        raise PlanInvalid(f"{source}: " + "; ".join(faults))


def _named_faults(plan: Plan) -> list[str]:
    faults = []
    if not plan.tills and not plan.clerks:
        faults.append("tills: at least one till or clerk is needed")
    names = [till.name for till in plan.tills]
    faults += [f"tills: name {name!r} twice" for name in sorted({n for n in names if names.count(n) > 1})]
    for i, till in enumerate(plan.tills):
        if not re.fullmatch(NAME_PATTERN, till.name):  # it is in the names of files
            faults.append(f"tills[{i}].name: {till.name!r} is not 1 to 16 of A-Z, 0-9 and -")
        if not till.cashiers:
            faults.append(f"tills[{i}].cashiers: till {till.name} has none")
        faults += _url_faults(f"tills[{i}].url", till.url)
    for i, clerk in enumerate(plan.clerks):
        for url in (clerk.url, *clerk.spare_urls):
            faults += _url_faults(f"clerks[{i}].url", url)
    return faults


def _url_faults(key: str, url: str) -> list[str]:
    return [] if url.startswith(("http://", "https://")) else [f"{key}: {url!r} is no http:// or https:// address"]


def _bound_faults(plan: Plan) -> list[str]:
    faults = [
        f"{key}: {value} is not above 0"
        for key, value in (
            ("sale_deadline_ms", plan.sale_deadline_ms),
            ("in_flight_max", plan.in_flight_max),
            *((f"tills[{i}].rate_per_s", till.rate_per_s) for i, till in enumerate(plan.tills)),
            *((f"clerks[{i}].rate_per_s", clerk.rate_per_s) for i, clerk in enumerate(plan.clerks)),
        )
        if value <= 0
    ]
    seconds = [at_s for at_s, _ in plan.shape]
    if seconds != sorted(seconds):
        faults.append("shape: its points are not in the order of their times")
    if any(factor < 0 for _, factor in plan.shape):
        faults.append("shape: a factor is below 0")
    for i, window in enumerate(plan.windows):
        if window.factor < 0:
            faults.append(f"windows[{i}].factor: {window.factor} is below 0")
    for kind, factor in plan.edits.items():
        if factor < 0:
            faults.append(f"edits.{kind}: {factor} is below 0")
    if plan.duration_s is not None and plan.duration_s <= 0:
        faults.append(f"duration_s: {plan.duration_s} is not above 0")
    for key in Mix.__struct_fields__:
        if not 0 <= getattr(plan.mix, key) <= 1:
            faults.append(f"mix.{key}: {getattr(plan.mix, key)} is not a share from 0 to 1")
    if plan.mix.refund + plan.mix.void + plan.mix.lookup > 1:
        faults.append("mix: refund, void and lookup together are more than 1")
    return faults


def planned_seats(plan: Plan) -> tuple[Sequence[Seat], Sequence[Seat]]:
    """Return every cashier's seat and every clerk's seat of a plan."""
    cashiers = [(place, slot) for place, till in enumerate(plan.tills) for slot in range(len(till.cashiers))]
    return (
        [Seat(kind="cashier", index=i, place=place, slot=slot) for i, (place, slot) in enumerate(cashiers)],
        [Seat(kind="clerk", index=i, place=i, slot=0) for i in range(len(plan.clerks))],
    )
