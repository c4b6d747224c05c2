"""Misfortunes in several acts: each was needed to tell one kind of bug from a protocol that is right."""

from __future__ import annotations

from dataclasses import replace

from chaos.fleet.simulated.misfortunes.aim import till_of, unless_healed
from chaos.fleet.simulated.misfortunes.reigns import promote, promote_back, restore
from chaos.fleet.simulated.misfortunes.syncs import asleep
from chaos.fleet.simulated.network import Weather
from chaos.fleet.simulated.plan import Action
from chaos.fleet.simulated.world import World
from syncref.core import failover
from syncref.core.failover import Role


def _peers_black(world: World, for_ms: int) -> None:
    for link in world.peers.values():
        link.weather.black = True

    def lift() -> None:
        for link in world.peers.values():
            link.weather = link.fair()

    world.loop.after(for_ms, lift)


def promote_unnoticed(world: World, action: Action) -> None:
    """Promote the standby while the old live server is up and hears nothing of it.

    Tills lose sight of the old one first, then of the new one.
    """
    _peers_black(world, 6000 + action.for_ms)
    old = next((n for n, server in enumerate(world.servers) if server.standby_of is None), 0)

    def cut_off(index: int, off: bool) -> None:
        for till in world.tills:
            till.links[index].weather = Weather(cut=off)

    for at, index, off in ((500, old, True), (2000, old, False), (2500, 1 - old, True), (4500, 1 - old, False)):
        world.loop.after(at, cut_off, index, off)
    for server in world.servers:
        if server.standby_of is not None and server.alive:
            server.guarded(failover.PromoteAsked(fresh_id=world.fresh()))
            return


def there_and_back(world: World, action: Action) -> None:
    """Promote the standby, lose it, and confirm the old server, while one till sleeps through it."""
    asleep(world, action, 3500)
    promote(world, action)
    world.loop.after(3000, unless_healed, world, promote_back, action)


def old_server_alone(world: World, action: Action) -> None:
    """Let a fenced server restart with no peer to be asked, and an operator who confirms what waits for it."""
    live = world.live()
    standby = next((s for s in world.servers if s.standby_of is not None and s.alive), None)
    if live is None or standby is None:
        return
    asleep(world, action, 3600)
    standby.guarded(failover.PromoteAsked(fresh_id=world.fresh()))

    def alone() -> None:
        live.die()
        standby.die()
        _peers_black(world, 4000)
        for till in world.tills:
            if till is not till_of(world, action):
                for link in till.links:
                    link.weather.black = True
        world.loop.after(200, world.switch_on, live)

    def confirm() -> None:
        if live.alive and live.failover.role is Role.STARTING:
            live.note("is confirmed by an operator who knows no better")
            live.guarded(failover.OperatorConfirmed(fresh_id=world.fresh()))

    def back() -> None:
        for till in world.tills:
            for link in till.links:
                link.weather = link.fair()
        world.switch_on(standby)

    world.loop.after(1500, unless_healed, world, alone)
    world.loop.after(3400, unless_healed, world, confirm)
    world.loop.after(6000, back)


def restore_while_acks_travel(world: World, action: Action) -> None:
    """Restore the server while an ack is on its way, and let no upload through until it has arrived."""
    till = till_of(world, action)

    def weather(acks_late_ms: int, uploads_cut: bool) -> None:
        for link in till.links:
            link.weather = Weather(acks_late_ms=acks_late_ms, uploads_cut=uploads_cut)

    number = 3_000_000 + 10 * world.loop.now
    sale = Action(at=0, kind="sale", who=action.who, n=number)
    weather(5000, False)
    world.loop.after(100, world.cashiers.act, sale)
    world.loop.after(600, weather, 0, True)
    world.loop.after(650, unless_healed, world, restore, replace(action, for_ms=700))
    world.loop.after(7000, weather, 0, False)


def urgent_during_bulk(world: World, action: Action) -> None:
    """Let a till get an urgent price while an older page of a sync by hand is still on its way."""
    till = till_of(world, action)
    later = world.loop.after
    number = 2_000_000 + 10 * world.loop.now
    edit = Action(at=0, kind="price", n=number, amount=action.amount)
    correction = replace(edit, kind="urgent", n=number + 1, amount=action.amount + 1)
    pair = replace(edit, kind="pair", n=number + 2)

    def slow(latency_ms: int) -> None:
        for link in till.links:
            link.weather = Weather(latency_ms=latency_ms, spread_ms=1)

    def cut_off(off: bool) -> None:
        for link in till.links:
            link.weather = Weather(cut=off)

    asleep(world, action, 850)
    later(50, world.clerks.act, edit)
    later(150, slow, 600)
    later(160, till.sync_masters)
    later(770, slow, 2)
    later(800, world.clerks.act, correction)
    later(800, world.clerks.act, pair)
    later(860, cut_off, True)
    later(3000, cut_off, False)
