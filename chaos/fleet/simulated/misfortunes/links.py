"""Misfortunes of links: each lifts itself after a while, but for the line that a till always has."""

from __future__ import annotations

from collections.abc import Callable

from chaos.fleet.simulated.misfortunes.aim import till_of
from chaos.fleet.simulated.network import REQUEST_TIMEOUT_MS, Weather
from chaos.fleet.simulated.plan import Action
from chaos.fleet.simulated.world import World


def _weather(world: World, action: Action, change: Callable[[Weather], None]) -> None:
    """Change the weather of one till's links, or of all, and of the servers' own when nobody is named."""
    everybody = action.amount % 4 == 0
    tills = world.tills if everybody else [till_of(world, action)]
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
    till = till_of(world, action)
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
    till = till_of(world, action)
    for link in till.links:
        link.usual = Weather(row_ms=REQUEST_TIMEOUT_MS // 6)
        link.weather = link.fair()


def outage(world: World, action: Action) -> None:
    """Cut a till off until everything is healed."""
    for link in till_of(world, action).links:
        link.weather.cut = True
        link.usual.cut = True
    world.outages.append(till_of(world, action))


def answers_cut(world: World, action: Action) -> None:
    """Let requests arrive and lose their answers: acks after commits."""
    _weather(world, action, lambda weather: setattr(weather, "answers_cut", True))


def noise(world: World, action: Action) -> None:
    """Lose, repeat, delay and so reorder a share of what is sent."""

    def change(weather: Weather) -> None:
        weather.drop, weather.repeat, weather.late = 0.1, 0.2, 0.3

    _weather(world, action, change)


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


def reply_cut(world: World, action: Action) -> None:
    """Let a till's cashiers hear nothing for a while."""
    till = till_of(world, action)
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
