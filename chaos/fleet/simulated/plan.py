"""A schedule as data: who asks what and when, and which misfortune strikes whom. One seed gives one plan."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from random import Random

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something that happens at an instant. The meaning of the numbers is `kind`'s."""

    at: int
    kind: str
    who: int = 0
    n: int = 0
    amount: int = 0
    for_ms: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole schedule. `heal_ms`: when misfortunes end, and only the system itself may mend things."""

    seed: int
    profile: str
    tills: int
    heal_ms: int
    actions: tuple[Action, ...]
    retention_ms: int = 60_000
    page_rows: int = 4
    batch_entries: int = 3
    products: int = 6
    settings: dict[str, int] = field(default_factory=dict)

    def without(self, dropped: set[int]) -> Plan:
        """Return the plan less some of its actions."""
        kept = tuple(action for n, action in enumerate(self.actions) if n not in dropped)
        return replace(self, actions=kept)

    def dumps(self) -> str:
        """Return the plan as JSON, to be kept as a regression."""
        return json.dumps(asdict(self), indent=1)


def loads(text: str) -> Plan:
    """Return a plan kept as JSON; raises msgspec.MsgspecError for anything else."""
    return msgspec.json.decode(text, type=Plan)


EDIT_KINDS = ("price", "price", "pair", "pair", "urgent", "future", "held", "delete", "delivery")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How often what is planned: the average count of each misfortune in one schedule, and its load."""

    misfortunes: dict[str, float]
    tills: tuple[int, int] = (1, 3)
    sales: int = 8
    edits: int = 5
    span_ms: int = 20_000
    first_ms: int = 500  # no misfortune before
    retention_ms: int = 60_000
    refunds: float = 0.15
    repeats: float = 0.1
    page_rows: int = 4
    products: int = 6
    keepalive_ms: int = 3000
    wait_ms: int = 4000
    fold_ms: int = 2000
    sample_ms: int = 100
    edit_kinds: tuple[str, ...] = EDIT_KINDS


EVERYTHING = {
    "kill_till": 0.8,
    "power_till": 0.4,
    "kill_server": 0.5,
    "cut": 0.6,
    "black": 0.4,
    "answers_cut": 0.5,
    "noise": 0.8,
    "clock": 0.3,
    "drift": 0.2,
    "disk_full_till": 0.2,
    "unknown_commit": 0.2,
    "disk_full_server": 0.2,
    "lag": 0.4,
    "promote": 0.35,
    "rejoin": 0.2,
    "promote_back": 0.1,
    "restore": 0.15,
    "reimage": 0.12,
    "rollback": 0.12,
    "clone": 0.1,
    "poison": 0.2,
    "compact": 0.2,
    "manual": 0.4,
    "window": 0.3,
    "reply_cut": 0.4,
    "close_midway": 0.2,
    "clerks_cut": 0.3,
    "late_answers": 0.3,
    "lossy": 0.2,
    "second_uploader": 0.2,
    "promote_unnoticed": 0.08,
    "there_and_back": 0.05,
    "old_server_alone": 0.05,
    "urgent_during_bulk": 0.1,
    "restore_while_acks_travel": 0.05,
    "stall": 0.4,
    "bad_line": 0.05,
    "scrap": 0.05,
    "outage": 0.05,
}
PROFILES: dict[str, Profile] = {
    "everything": Profile(misfortunes=EVERYTHING),
    # Ten tills, a sale every 30 s each, for an hour: what the speed is measured with.
    "shop": Profile(
        misfortunes={"cut": 3.0, "kill_till": 2.0, "noise": 1.0},
        tills=(10, 10),
        sales=160,
        edits=10,
        span_ms=3_600_000,
        products=50,
        page_rows=1000,
        keepalive_ms=30_000,
        wait_ms=60_000,
        fold_ms=300_000,
        sample_ms=5_000,
    ),
}


def plan(seed: int, profile: str = "everything") -> Plan:
    """Return the schedule of a seed."""
    draw = Random(f"{profile}/{seed}")  # noqa: S311
    shape = PROFILES[profile]
    tills = draw.randint(*shape.tills)
    span = shape.span_ms
    actions: list[Action] = [Action(at=200 + 10 * till, kind="open", who=till) for till in range(tills)]
    number = 0
    for till in range(tills):
        for _ in range(draw.randint(shape.sales // 2, shape.sales)):
            number += 1
            actions.append(_operation(draw, shape, till, number, span))
    for _ in range(draw.randint(0, shape.edits)):
        number += 1
        actions.append(_edit(draw, shape, number, span))
    for kind, mean in shape.misfortunes.items():
        count = int(mean) + (1 if draw.random() < mean - int(mean) else 0)
        actions.extend(_misfortune(draw, kind, tills, (shape.first_ms, span)) for _ in range(count))
    actions.sort(key=lambda action: (action.at, action.kind, action.n))
    return Plan(
        seed=seed,
        profile=profile,
        tills=tills,
        heal_ms=span + 2000,
        actions=tuple(actions),
        retention_ms=shape.retention_ms,
        page_rows=shape.page_rows,
        products=shape.products,
        settings={
            "keepalive_ms": shape.keepalive_ms,
            "wait_ms": shape.wait_ms,
            "fold_ms": shape.fold_ms,
            "sample_ms": shape.sample_ms,
        },
        batch_entries=draw.choice((1, 2, 3, 50)),
    )


def _operation(draw: Random, shape: Profile, till: int, number: int, span: int) -> Action:
    at = draw.randint(1000, span)
    chance = draw.random()
    kind = "sale"
    if chance < shape.refunds:
        kind = draw.choice(("refund", "refund", "void"))
    elif chance < shape.refunds + shape.repeats:
        kind = draw.choice(("repeat", "repeat", "edited"))
    return Action(at=at, kind=kind, who=till, n=number, amount=draw.randint(0, 1 << 30))


def _edit(draw: Random, shape: Profile, number: int, span: int) -> Action:
    kind = draw.choice(shape.edit_kinds)
    return Action(
        at=draw.randint(600, span),
        kind=kind,
        n=number,
        amount=draw.randint(1, 1 << 30),
        for_ms=draw.randint(50, 3000),
    )


def _misfortune(draw: Random, kind: str, tills: int, between_ms: tuple[int, int]) -> Action:
    return Action(
        at=draw.randint(*between_ms),
        kind=kind,
        who=draw.randrange(tills),
        n=draw.randint(0, 12),
        amount=draw.randint(0, 1 << 30),
        for_ms=draw.choice((100, 500, 2000, 6000)),
    )
