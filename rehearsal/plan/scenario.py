"""A scenario as values. Times are seconds from the start of the load; everything random follows `seed`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rehearsal.plan.threshold import Threshold

CLAIMS = (
    "receipts", "money", "settlement", "masters", "documents", "edits", "prices", "stock", "chain", "drain",
    "experience", "offline", "hardware", "failover",
)  # fmt: skip
EDIT_KINDS = (
    "price", "product", "vendor", "tax_rate", "goods_receipt", "vendor_return", "stock_count", "cashier",
)  # fmt: skip
SHAPES = ("steady", "ramp", "spike")
STAGE_CHECKS = ("masters", "selling", "offline", "synced", "sums", "parity", "failed_over", "fenced")
STAGE_STEPS = ("manual_sync", "clean", "watch_live", "promote", "rebuild_standby")
PREPRODUCTION_ONLY = frozenset({"parity", "failed_over", "fenced", "watch_live", "promote", "rebuild_standby"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """How many tills, how big, on which database, by which fault engine; whether a standby may take over.

    `patience_s`: how long the operator waits for a silent live server before a promotion.
    """

    tills: tuple[str, ...]
    profile: str
    till_database: str = "sqlite"
    fault_engine: Literal["auto", "toxiproxy", "builtin"] = "auto"
    preproduction: bool = False
    patience_s: float = 1.0
    tls: bool = True
    line_kb_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPlan:
    """When tills synchronise. `scheduled_only` tills have no continuous sync, just the window."""

    reply_budget_ms: int = 100
    scheduled_every_s: float | None = None
    scheduled_only: tuple[str, ...] = ()
    real_windows: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CataloguePlan:
    """The generated masters. `pairs` SKU pairs keep the sum of their prices through every edit."""

    products: int = 1000
    vendors: int = 50
    pairs: int = 10
    stock_pieces: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What cashiers do. `rate_per_s` is arrivals per till; shares are of all operations.

    `shape` is (second, factor of the rate) between which the rate goes linearly; empty: it stays. On a `ramp`,
    customers who still wait at its end go away unserved.
    """

    duration_s: float
    rate_per_s: float = 1.0
    refund_share: float = 0.03
    void_share: float = 0.02
    repeat_ok_share: float = 0.02
    edited_share: float = 0.005
    lookup_share: float = 0.1
    cashiers_per_till: int = 1
    sale_deadline_ms: int = 10_000
    min_sales: int = 1
    min_sales_in_fault: int = 0
    kind: str = "steady"
    shape: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOfficePlan:
    """What clerks do: `rate_per_s` documents of all clerks together.

    `mix` says how many times as often as usual a kind comes, and leaves out the kinds it does not name;
    empty: every kind as usual.
    """

    clerks: int = 0
    rate_per_s: float = 0.0
    mix: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePlan:
    """A part of the story: who sells, whether clerks edit, what is done at its start and read at its end.

    With `gate`, the next stage begins only when this one has passed.
    """

    name: str
    title: str
    at_s: float
    for_s: float
    tills: tuple[str, ...]
    rate_factor: float = 1.0
    edits: bool = True
    steps: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    gate: bool = False
    real_at: str | None = None
    real_for_s: float | None = None

    @property
    def ends_s(self) -> float:
        """Seconds from the start of the load to the stage's end."""
        return self.at_s + self.for_s

    @property
    def asked(self) -> tuple[str, ...]:
        """By what it passes: its steps, then its checks."""
        return (*self.steps, *self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPlan:
    """A fault to inject. `for_s` 0 is for faults of an instant, such as a kill with its own restart.

    `by_hand`: asked for while the run went on; `for_s` is then the longest it may last.
    """

    kind: str
    targets: tuple[str, ...]
    at_s: float
    for_s: float
    params: dict[str, int | float | str | bool] = field(default_factory=dict)
    line: int = 0
    by_hand: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipPlan:
    """Prices announced `announce_s` and valid from `at_s`: every till must change at the same instant."""

    at_s: float
    announce_s: float
    products: int
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainPlan:
    """How long the healed system may take to come to rest."""

    deadline_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RealPlan:
    """The shop being rehearsed, for the report's comparison; zero where the scenario does not say."""

    products: int = 0
    sales_per_till_day: int = 0
    window_minutes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything that a run is asked for."""

    name: str
    title: str
    seed: int
    claims: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    fleet: FleetPlan
    load: LoadPlan
    stages: tuple[StagePlan, ...]
    faults: tuple[FaultPlan, ...] = ()
    flips: tuple[FlipPlan, ...] = ()
    sync: SyncPlan = SyncPlan()
    catalogue: CataloguePlan = CataloguePlan()
    backoffice: BackOfficePlan = BackOfficePlan()
    drain: DrainPlan = DrainPlan()
    real: RealPlan = RealPlan()
    stale_bound_s: float = 30.0
    currency: str = "EUR"

    @property
    def ends_s(self) -> float:
        """Seconds from the start of the load to its end."""
        return self.load.duration_s
