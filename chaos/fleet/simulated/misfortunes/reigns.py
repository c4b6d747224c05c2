"""Changes of the live server: promotions, returns, restores, and what a standby lags behind."""

from __future__ import annotations

from chaos.fleet.simulated.plan import Action
from chaos.fleet.simulated.server import ServerNode
from chaos.fleet.simulated.world import World
from syncref.core import failover
from syncref.core.failover import Role


def lag(world: World, action: Action) -> None:
    """Let replication stand still for a while."""
    for server in world.servers:
        if server.standby_of is not None and server.replication_stopped_ms is None:
            server.catch_up()
            world.bites.count("lag")
            server.replication_stopped_ms = world.loop.now
            world.loop.after(action.for_ms, setattr, server, "replication_stopped_ms", None)


def promote(world: World, action: Action) -> None:
    """Promote the standby, whether the live server is still there or not."""
    for server in world.servers:
        if server.standby_of is not None and server.alive:
            if action.n % 2:
                old = server.standby_of
                old.die()
                world.loop.after(action.for_ms + 1000, world.switch_on, old)
            server.guarded(failover.PromoteAsked(fresh_id=world.fresh()))
            return


def rejoin(world: World, action: Action) -> None:
    """Make a fenced server the live one's standby, from a copy of its database."""
    live = world.live()
    for server in world.servers:
        if live is not None and server is not live and server.failover.role is Role.FENCED:
            server.die()
            _copy(live, server)
            server.fence = 0
            world.switch_on(server)


def promote_back(world: World, action: Action) -> None:
    """Lose the promoted server and let the operator confirm the fenced one."""
    fenced = [s for s in world.servers if s.alive and s.failover.role is Role.FENCED]
    live = world.live()
    if not fenced or live is None:
        return
    live.die()
    world.restored()
    world.loop.after(action.for_ms + 3000, world.switch_on, live)
    fenced[0].guarded(failover.OperatorConfirmed(fresh_id=world.fresh()))


def restore(world: World, action: Action) -> None:
    """Restore the live server's database from an older backup, and its standby from that."""
    live = world.live()
    if live is None:
        return
    age = min(action.for_ms, world.retention_ms // 2)
    until = world.loop.now - age
    length = max(1, sum(1 for at in live.commit_times if at <= until))
    if length < len(live.store.records):
        world.bites.count("restore")
    standbys = live.standbys()
    live.highest_told = max(server.store.term.n for server in world.servers)
    live.die()
    live.store = live.store.fork_off(length)
    live.commit_times = live.commit_times[:length]
    live.store.timeline = world.next_timeline()
    live.safe_told.clear()
    for standby in standbys:
        standby.die()
        _copy(live, standby)
        world.switch_on(standby)
    world.restored()
    world.switch_on(live)


def _copy(source: ServerNode, target: ServerNode) -> None:
    target.store = source.store.fork_off()
    target.store.timeline = source.store.timeline
    target.commit_times = list(source.commit_times)
    target.standby_of = source
    target.replication_stopped_ms = None


def compact(world: World, action: Action) -> None:
    """Let the live server forget its tombstones."""
    live = world.live()
    if live is not None and not live.store.begun:
        world.bites.count("tombstones")
        live.store.write("compact")
        live.commit_times.append(world.loop.now)
