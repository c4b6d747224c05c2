"""The protocol in virtual time: messages of a quiet hour, and how long a backlog takes to drain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from chaos.fleet.simulated.network import Link
from chaos.fleet.simulated.plan import Action, Plan
from chaos.fleet.simulated.playing import act
from chaos.fleet.simulated.world import World

TILLS = 3
SALES, EVERY_MS = 120, 30_000
CUT_MS, CUT_FOR_MS = 60_000, 1_200_000
OFFLINE_SALES = 600
STEP_MS = 10
DRAIN_MS_MAX = 600_000
SETTINGS = {"keepalive_ms": 30_000, "wait_ms": 60_000, "fold_ms": 300_000, "sample_ms": 5_000}


def count() -> dict[str, int]:
    """Count messages by kind, and virtual milliseconds."""
    return _quiet_hour() | _drain()


def _quiet_hour() -> dict[str, int]:
    """One sale every 30 s on each of three tills for an hour, nothing goes wrong, no master changes."""
    sales = [
        Action(at=2_000 + n * EVERY_MS + 500 * till, kind="sale", who=till, n=1 + n * TILLS + till, amount=n)
        for n in range(SALES)
        for till in range(TILLS)
    ]
    with _messages() as counted:
        world = _world(tuple(sales), heal_ms=3_700_000)
        world.loop.run(3_700_000)
    _must_have(world, SALES)
    return {f"hour_of_{TILLS * SALES}_sales.{kind}": counted[kind] for kind in sorted(counted)}


def _drain() -> dict[str, int]:
    """Every link is cut for 20 minutes while each till sells 600 times; then the backlog drains."""
    every = CUT_FOR_MS // (OFFLINE_SALES + 1)
    sales = [
        Action(at=CUT_MS + n * every, kind="sale", who=till, n=n * TILLS + till, amount=n)
        for n in range(1, OFFLINE_SALES + 1)
        for till in range(TILLS)
    ]
    cut = Action(at=CUT_MS, kind="cut", amount=4, for_ms=CUT_FOR_MS)
    with _messages() as counted:
        world = _world((cut, *sales), heal_ms=CUT_MS + CUT_FOR_MS)
        world.loop.run(CUT_MS + CUT_FOR_MS)
        counted.clear()
        took_ms = 0
        while not _there(world) and took_ms < DRAIN_MS_MAX:
            took_ms += STEP_MS
            world.loop.run(CUT_MS + CUT_FOR_MS + took_ms)
    _must_have(world, OFFLINE_SALES)
    return {
        f"drain_of_{TILLS * OFFLINE_SALES}_sales.virtual_ms": took_ms,
        f"drain_of_{TILLS * OFFLINE_SALES}_sales.batches": counted["batch"],
    }


def _world(actions: tuple[Action, ...], *, heal_ms: int) -> World:
    opened = tuple(Action(at=200 + 10 * till, kind="open", who=till) for till in range(TILLS))
    world = World(
        Plan(
            seed=1, profile="gate", tills=TILLS, heal_ms=heal_ms, actions=opened + actions, batch_entries=50,
            page_rows=1000, products=50, settings=SETTINGS,
        )
    )  # fmt: skip
    for action in world.plan.actions:
        world.loop.after(action.at, act, world, action)
    return world


def _there(world: World) -> bool:
    live = world.live()
    return live is not None and all(
        live.store.durable(till.store.journal.key) >= till.store.journal.head.seq for till in world.tills
    )


def _must_have(world: World, sales: int) -> None:
    """Refuse to count a run in which not everything was sold and sent."""
    heads = [till.store.journal.head.seq for till in world.tills]
    assert _there(world) and min(heads) >= sales, f"heads {heads}, {sales} sales on each till"


@contextmanager
def _messages() -> Iterator[Counter[str]]:
    """Count what is asked over any link."""
    counted: Counter[str] = Counter()
    ask = Link.ask

    def counting(self: Link, request: str, argument: object, **more: Any) -> None:
        counted[request] += 1
        ask(self, request, argument, **more)

    with patch.object(Link, "ask", counting):
        yield counted
