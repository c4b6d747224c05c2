"""Whom a misfortune strikes, and that none begins after healing."""

from __future__ import annotations

from collections.abc import Callable

from chaos.fleet.simulated.plan import Action
from chaos.fleet.simulated.server import ServerNode
from chaos.fleet.simulated.till import TillNode
from chaos.fleet.simulated.world import World


def till_of(world: World, action: Action) -> TillNode:
    """Return the till that an action names."""
    return world.tills[action.who % len(world.tills)]


def server_of(world: World, action: Action) -> ServerNode:
    """Return the live server, or any when none is."""
    return world.live() or world.servers[action.amount % len(world.servers)]


def unless_healed(world: World, call: Callable[..., None], *arguments: Action) -> None:
    """Go on with a misfortune of several acts, unless everything is healed."""
    if world.healed:
        return
    if arguments:
        call(world, *arguments)
    else:
        call()
