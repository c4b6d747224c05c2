"""A schedule from its first action to its last drain."""

from __future__ import annotations

from chaos.fleet.simulated.misfortunes import befall
from chaos.fleet.simulated.plan import Action
from chaos.fleet.simulated.world import World

DRAIN_MS = 300_000  # a till on a bad line loads its masters whole in a minute or two


def play_out(world: World) -> None:
    """Play the plan, heal, close the days, drain."""
    for action in world.plan.actions:
        world.loop.after(action.at, act, world, action)
    world.loop.after(150, _sample, world)
    world.loop.run(world.plan.heal_ms)
    world.heal()
    world.loop.run(world.loop.now + 3000)
    world.confirm()
    _drain(world, DRAIN_MS)
    for till in world.tills:
        if not till.gone:
            world.cashiers.close(till.index)
    _drain(world, DRAIN_MS)
    live = world.live()
    if live is not None:
        live.backoffice.fold_stock()
        live.backoffice.resolve_asides()
    world.loop.run(world.loop.now + 5000)
    _drain(world, 60_000)


def act(world: World, action: Action) -> None:
    """Let an action of the plan happen."""
    if not (world.cashiers.act(action) or world.clerks.act(action)):
        befall(world, action)


def _sample(world: World) -> None:
    for till in world.tills:
        world.watch.sample(till)
    world.loop.after(world.plan.settings.get("sample_ms", 100), _sample, world)


def _drain(world: World, deadline_ms: int) -> None:
    """Wait until all is quiet, a second at a time."""
    until = world.loop.now + deadline_ms
    while world.loop.now < until:
        world.loop.run(world.loop.now + 1000)
        if not world.unsettled():
            return
        if world.loop.now % 5000 < 1000:
            world.confirm()
    for what in world.unsettled():
        world.watch.find("drain", what)
