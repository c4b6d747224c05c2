"""Misfortunes of machines: killed, without power, with wrong clocks or full disks, set back or copied."""

from __future__ import annotations

from chaos.fleet.simulated.cashiers import op_id
from chaos.fleet.simulated.disk import Disk
from chaos.fleet.simulated.misfortunes.aim import server_of, till_of, unless_healed
from chaos.fleet.simulated.plan import Action
from chaos.fleet.simulated.server import ServerNode
from chaos.fleet.simulated.till import TillNode
from chaos.fleet.simulated.till_store import TillStore
from chaos.fleet.simulated.world import World
from syncref.domain.identity import Key


def kill_till(world: World, action: Action) -> None:
    """Kill a till's process some effects from now, and start it again."""
    till = till_of(world, action)
    till.die_soon(action.n, power=False)
    world.loop.after(action.for_ms + 500, _restart_till, world, till)


def power_till(world: World, action: Action) -> None:
    """Cut a till's power some effects from now."""
    till = till_of(world, action)
    till.die_soon(action.n, power=True)
    world.loop.after(action.for_ms + 500, _restart_till, world, till)


def _restart_till(world: World, till: TillNode) -> None:
    if till.alive and till.doom >= 0:  # it did not get that far
        till.die()
    world.switch_on(till)


def kill_server(world: World, action: Action) -> None:
    """Kill a server some effects from now, usually the live one."""
    server = world.servers[action.amount % 2] if action.amount % 5 == 0 else server_of(world, action)
    server.die_soon(action.n, power=False)
    world.loop.after(action.for_ms + 300, _restart_server, world, server)


def _restart_server(world: World, server: ServerNode) -> None:
    if server.alive and server.doom >= 0:
        server.die()
    world.switch_on(server)


def scrap(world: World, action: Action) -> None:
    """Let a till die in mid-effect and never come back: what was only on its disk is a declared loss."""
    till = till_of(world, action)
    till.die_soon(action.n, power=False)

    def gone() -> None:
        if not till.gone:
            till.die()
            till.gone = True
            world.bites.count("scrap")
            world.lost_with(till, set(till.store.ops))

    till.on_death = gone
    world.loop.after(action.for_ms + 500, unless_healed, world, gone)


def clock(world: World, action: Action) -> None:
    """Let a till's clock jump by up to an hour, mostly back."""
    jump = action.amount % 3_600_000
    till_of(world, action).offset_ms += jump if action.amount % 3 == 0 else -jump


def drift(world: World, action: Action) -> None:
    """Let a till's clock run fast or slow."""
    till_of(world, action).rate = 0.5 + (action.amount % 100) / 100


def disk_full_till(world: World, action: Action) -> None:
    """Let a till run out of room for a while."""
    till = till_of(world, action)
    till.disk_full = True
    world.loop.after(action.for_ms, setattr, till, "disk_full", False)


def unknown_commit(world: World, action: Action) -> None:
    """Let the outcome of a till's next commit be unknown."""
    till_of(world, action).unknown_commits += 1


def disk_full_server(world: World, action: Action) -> None:
    """Let the live server run out of room for a while."""
    server = server_of(world, action)
    server.disk_full = True
    world.loop.after(action.for_ms, setattr, server, "disk_full", False)


def poison(world: World, action: Action) -> None:
    """Let the server's database be unable to hold one sale's values."""
    number = 1 + action.amount % max(1, sum(1 for a in world.plan.actions if a.kind == "sale"))
    world.poison.add(op_id(world.plan.seed, number))


def reimage(world: World, action: Action) -> None:
    """Give a till a new disk: what was only on the old one is a declared loss."""
    till = till_of(world, action)
    till.die()
    world.bites.count("reimage")
    world.lost_with(till, set(till.store.ops))
    reprovision(world, till)
    world.loop.after(300, world.switch_on, till)
    world.loop.after(600, world.cashiers.open, till.index)


def reprovision(world: World, till: TillNode) -> None:
    """Provision a till anew: another incarnation, drawn at random."""
    till.key = Key(till=till.key.till, incarnation=world.fresh())
    till.disk = Disk()
    till.store = TillStore(till.disk, cluster=world.cluster, key=till.key)


def rollback(world: World, action: Action) -> None:
    """Bring an older state of a till's disk back."""
    till = till_of(world, action)
    till.die()
    length = len(till.disk.records)
    kept = length - min(length // 3, 1 + action.n)
    if kept < length:
        world.bites.count("rollback")
    before = set(till.store.ops)
    till.disk = till.disk.copy(kept)
    till.store = TillStore(till.disk, cluster=world.cluster, key=till.key)
    world.lost_with(till, before - set(till.store.ops))
    world.twins.add(till.index)
    world.loop.after(300, world.switch_on, till)
    world.loop.after(600, world.cashiers.open, till.index)


def clone(world: World, action: Action) -> None:
    """Let a second machine run with a copy of a till's disk."""
    till = till_of(world, action)
    if till.index in world.clones or till.index in world.clones.values() or not till.alive:
        return
    world.bites.count("clone")
    twin = world.add_till(till.disk.copy(), till.key)
    world.losers |= {till.index, twin.index}
    world.twins |= {till.index, twin.index}
    world.clones[till.index] = twin.index
    world.cashiers.days[twin.index] = world.cashiers.days.get(till.index, 1)
