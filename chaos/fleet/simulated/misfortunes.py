"""What befalls the chain: each kind of misfortune is one function, and lifts itself after a while."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from chaos.fleet.simulated.cashiers import op_id
from chaos.fleet.simulated.disk import Disk
from chaos.fleet.simulated.intruder import Intruder
from chaos.fleet.simulated.network import Weather
from chaos.fleet.simulated.plan import Action
from chaos.fleet.simulated.receiver import REQUEST_TIMEOUT_MS
from chaos.fleet.simulated.till_store import TillStore
from syncref.core import failover
from syncref.core.failover import Role
from syncref.domain.identity import Key

if TYPE_CHECKING:
    from chaos.fleet.simulated.server import ServerNode
    from chaos.fleet.simulated.till import TillNode
    from chaos.fleet.simulated.world import World


def befall(world: World, action: Action) -> None:
    """Let a misfortune happen. After healing nothing happens any more."""
    if not world.healed:
        world.note(f"--- {action.kind} (who {action.who}, n {action.n}, for {action.for_ms} ms)")
        KINDS[action.kind](world, action)


def _till(world: World, action: Action) -> TillNode:
    return world.tills[action.who % len(world.tills)]


def _server(world: World, action: Action) -> ServerNode:
    return world.live() or world.servers[action.amount % len(world.servers)]


def kill_till(world: World, action: Action) -> None:
    """Kill a till's process some effects from now, and start it again."""
    till = _till(world, action)
    till.die_soon(action.n, power=False)
    world.loop.after(action.for_ms + 500, _restart_till, world, till)


def power_till(world: World, action: Action) -> None:
    """Cut a till's power some effects from now."""
    till = _till(world, action)
    till.die_soon(action.n, power=True)
    world.loop.after(action.for_ms + 500, _restart_till, world, till)


def _restart_till(world: World, till: TillNode) -> None:
    if till.alive and till.doom >= 0:  # it did not get that far
        till.die()
    world.switch_on(till)


def kill_server(world: World, action: Action) -> None:
    """Kill a server some effects from now, usually the live one."""
    server = world.servers[action.amount % 2] if action.amount % 5 == 0 else _server(world, action)
    server.die_soon(action.n, power=False)
    world.loop.after(action.for_ms + 300, _restart_server, world, server)


def _restart_server(world: World, server: ServerNode) -> None:
    if server.alive and server.doom >= 0:
        server.die()
    world.switch_on(server)


def _weather(world: World, action: Action, change: Callable[[Weather], None]) -> None:
    """Change the weather of one till's links, or of all, and of the servers' own when nobody is named."""
    everybody = action.amount % 4 == 0
    tills = world.tills if everybody else [_till(world, action)]
    links = [link for till in tills for link in till.links]
    if action.amount % 8 == 0:
        links += [*world.peers.values(), *world.clerks.links]
    for link in links:
        change(link.weather)

    def lift() -> None:
        for link in links:
            link.weather = link.fair()

    world.loop.after(action.for_ms, lift)


def cut(world: World, action: Action) -> None:
    """Cut links: what is sent is refused at once."""
    _weather(world, action, lambda weather: setattr(weather, "cut", True))


def black(world: World, action: Action) -> None:
    """Turn links into black holes."""
    _weather(world, action, lambda weather: setattr(weather, "black", True))


def stall(world: World, action: Action) -> None:
    """Let links hold what they carry for a while, and let it through afterwards."""
    until = world.loop.now + action.for_ms
    _weather(world, action, lambda weather: setattr(weather, "stalled_until", until))


def bad_line(world: World, action: Action) -> None:
    """Give a till the line it will always have: a second of latency, and a cut every few seconds. Healing
    does not mend it: to sync over it is what the till is for."""
    till = _till(world, action)
    for link in till.links:
        link.usual = Weather(latency_ms=400, spread_ms=100)
        link.weather = link.fair()

    def cut_off(off: bool) -> None:
        for link in till.links:
            link.usual.cut = link.weather.cut = off
        world.loop.after(1500 if off else 6000, cut_off, not off)

    cut_off(True)


def narrow_line(world: World, action: Action) -> None:
    """Give a till a line, for good, that brings four rows of masters within a request's time, and not eight."""
    till = _till(world, action)
    for link in till.links:
        link.usual = Weather(row_ms=REQUEST_TIMEOUT_MS // 6)
        link.weather = link.fair()


def outage(world: World, action: Action) -> None:
    """Cut a till off until everything is healed."""
    for link in _till(world, action).links:
        link.weather.cut = True
        link.usual.cut = True
    world.outages.append(_till(world, action))


def scrap(world: World, action: Action) -> None:
    """Let a till die in mid-effect and never come back: what was only on its disk is a declared loss."""
    till = _till(world, action)
    till.die_soon(action.n, power=False)

    def gone() -> None:
        if not till.gone:
            till.die()
            till.gone = True
            world.bites.count("scrap")
            world.lost_with(till, set(till.store.ops))

    till.on_death = gone
    world.loop.after(action.for_ms + 500, _unless_healed, world, gone)


def answers_cut(world: World, action: Action) -> None:
    """Let requests arrive and lose their answers: acks after commits."""
    _weather(world, action, lambda weather: setattr(weather, "answers_cut", True))


def noise(world: World, action: Action) -> None:
    """Lose, repeat, delay and so reorder a share of what is sent."""

    def change(weather: Weather) -> None:
        weather.drop, weather.repeat, weather.late = 0.1, 0.2, 0.3

    _weather(world, action, change)


def clock(world: World, action: Action) -> None:
    """Let a till's clock jump by up to an hour, mostly back."""
    jump = action.amount % 3_600_000
    _till(world, action).offset_ms += jump if action.amount % 3 == 0 else -jump


def drift(world: World, action: Action) -> None:
    """Let a till's clock run fast or slow."""
    _till(world, action).rate = 0.5 + (action.amount % 100) / 100


def disk_full_till(world: World, action: Action) -> None:
    """Let a till run out of room for a while."""
    till = _till(world, action)
    till.disk_full = True
    world.loop.after(action.for_ms, setattr, till, "disk_full", False)


def unknown_commit(world: World, action: Action) -> None:
    """Let the outcome of a till's next commit be unknown."""
    _till(world, action).unknown_commits += 1


def disk_full_server(world: World, action: Action) -> None:
    """Let the live server run out of room for a while."""
    server = _server(world, action)
    server.disk_full = True
    world.loop.after(action.for_ms, setattr, server, "disk_full", False)


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


def reimage(world: World, action: Action) -> None:
    """Give a till a new disk: what was only on the old one is a declared loss."""
    till = _till(world, action)
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
    till = _till(world, action)
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
    till = _till(world, action)
    if till.index in world.clones or till.index in world.clones.values() or not till.alive:
        return
    world.bites.count("clone")
    twin = world.add_till(till.disk.copy(), till.key)
    world.losers |= {till.index, twin.index}
    world.twins |= {till.index, twin.index}
    world.clones[till.index] = twin.index
    world.cashiers.days[twin.index] = world.cashiers.days.get(till.index, 1)


def poison(world: World, action: Action) -> None:
    """Let the server's database be unable to hold one sale's values."""
    number = 1 + action.amount % max(1, sum(1 for a in world.plan.actions if a.kind == "sale"))
    world.poison.add(op_id(world.plan.seed, number))


def compact(world: World, action: Action) -> None:
    """Let the live server forget its tombstones."""
    live = world.live()
    if live is not None and not live.store.begun:
        world.bites.count("tombstones")
        live.store.write("compact")
        live.commit_times.append(world.loop.now)


def manual(world: World, action: Action) -> None:
    """Sync a till's masters by hand, beside its schedule."""
    _till(world, action).sync_masters()


def window(world: World, action: Action) -> None:
    """End a till's sync window for a while."""
    till = _till(world, action)
    till.syncing = False
    till.sleep()

    def begin() -> None:
        till.syncing = True
        till.wake()

    world.loop.after(action.for_ms * 2, begin)


def reply_cut(world: World, action: Action) -> None:
    """Let a till's cashiers hear nothing for a while."""
    till = _till(world, action)
    till.replies_cut = True
    world.loop.after(action.for_ms, setattr, till, "replies_cut", False)


def clerks_cut(world: World, action: Action) -> None:
    """Let clerks hear nothing for a while, though their documents arrive."""
    for link in world.clerks.links:
        link.weather.answers_cut = True

    def lift() -> None:
        for link in world.clerks.links:
            link.weather = link.fair()

    world.loop.after(action.for_ms, lift)


def late_answers(world: World, action: Action) -> None:
    """Let much come very late, after whoever asked has given up."""

    def change(weather: Weather) -> None:
        weather.late, weather.late_ms = 0.5, 5000

    _weather(world, action, change)


def lossy(world: World, action: Action) -> None:
    """Lose much, and let much of the rest come very late."""

    def change(weather: Weather) -> None:
        weather.drop, weather.late, weather.late_ms = 0.4, 0.5, 6000

    _weather(world, action, change)


def second_uploader(world: World, action: Action) -> None:
    """Let another process of a till upload its queue, batches out of order."""
    till = _till(world, action)
    if till.alive:
        Intruder(till, action.amount % 2).try_often(20)


def _asleep(world: World, action: Action, for_ms: int) -> None:
    """Keep one till from syncing, so that it does not meet what the others meet."""
    till = _till(world, action)
    till.syncing = False
    till.sleep()

    def begin() -> None:
        till.syncing = True
        till.wake()

    world.loop.after(for_ms, begin)


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
    _asleep(world, action, 3500)
    promote(world, action)
    world.loop.after(3000, _unless_healed, world, promote_back, action)


def old_server_alone(world: World, action: Action) -> None:
    """Let a fenced server restart with no peer to be asked, and an operator who confirms what waits for it."""
    live = world.live()
    standby = next((s for s in world.servers if s.standby_of is not None and s.alive), None)
    if live is None or standby is None:
        return
    _asleep(world, action, 3600)
    standby.guarded(failover.PromoteAsked(fresh_id=world.fresh()))

    def alone() -> None:
        live.die()
        standby.die()
        _peers_black(world, 4000)
        for till in world.tills:
            if till is not _till(world, action):
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

    world.loop.after(1500, _unless_healed, world, alone)
    world.loop.after(3400, _unless_healed, world, confirm)
    world.loop.after(6000, back)


def restore_while_acks_travel(world: World, action: Action) -> None:
    """Restore the server while an ack is on its way, and let no upload through until it has arrived."""
    till = _till(world, action)

    def weather(acks_late_ms: int, uploads_cut: bool) -> None:
        for link in till.links:
            link.weather = Weather(acks_late_ms=acks_late_ms, uploads_cut=uploads_cut)

    number = 3_000_000 + 10 * world.loop.now
    sale = Action(at=0, kind="sale", who=action.who, n=number)
    weather(5000, False)
    world.loop.after(100, world.cashiers.act, sale)
    world.loop.after(600, weather, 0, True)
    world.loop.after(650, _unless_healed, world, restore, replace(action, for_ms=700))
    world.loop.after(7000, weather, 0, False)


def urgent_during_bulk(world: World, action: Action) -> None:
    """Let a till get an urgent price while an older page of a sync by hand is still on its way."""
    till = _till(world, action)
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

    _asleep(world, action, 850)
    later(50, world.clerks.act, edit)
    later(150, slow, 600)
    later(160, till.sync_masters)
    later(770, slow, 2)
    later(800, world.clerks.act, correction)
    later(800, world.clerks.act, pair)
    later(860, cut_off, True)
    later(3000, cut_off, False)


def _unless_healed(world: World, call: Callable[..., None], *arguments: Action) -> None:
    if world.healed:
        return
    if arguments:
        call(world, *arguments)
    else:
        call()


KINDS: dict[str, Callable[[World, Action], None]] = {
    call.__name__: call
    for call in (
        kill_till,
        power_till,
        kill_server,
        cut,
        black,
        stall,
        bad_line,
        narrow_line,
        outage,
        scrap,
        answers_cut,
        noise,
        clock,
        drift,
        disk_full_till,
        unknown_commit,
        disk_full_server,
        lag,
        promote,
        rejoin,
        promote_back,
        restore,
        reimage,
        rollback,
        clone,
        poison,
        compact,
        manual,
        window,
        reply_cut,
        clerks_cut,
        late_answers,
        lossy,
        second_uploader,
        promote_unnoticed,
        there_and_back,
        old_server_alone,
        urgent_during_bulk,
        restore_while_acks_travel,
    )
}
