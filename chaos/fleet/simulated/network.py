"""Links that lose, delay, repeat and reorder what they carry, in either direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Protocol

from chaos.fleet.simulated.bites import Bites
from chaos.fleet.simulated.loop import Loop
from syncref.wire.sync import FeedPage, LoadChunk

Answer = object
Respond = Callable[[Answer], None]
Lost = Callable[[], None]


class Killed(Exception):
    """The node died here."""


class Server(Protocol):
    """What a link needs of the node at its far end."""

    alive: bool

    def handle(self, request: str, argument: Any, respond: Respond, lost: Lost) -> None:
        """Take a request; `lost` is called when it will never be answered."""


class Client(Protocol):
    """What a link needs of the node at its near end. `boot` counts its starts."""

    boot: int
    alive: bool


SPEED_MS = 2
REQUEST_TIMEOUT_MS = 2000


@dataclass(slots=True)
class Weather:
    """How a link behaves now. Shares are of 1; times in milliseconds."""

    cut: bool = False  # refused at once
    black: bool = False  # nothing comes through, nothing is refused
    answers_cut: bool = False  # requests arrive, answers don't
    latency_ms: int = SPEED_MS
    spread_ms: int = 6
    drop: float = 0.0
    repeat: float = 0.0
    late: float = 0.0
    late_ms: int = 3000
    uploads_cut: bool = False  # batches are lost, what is small goes through
    acks_late_ms: int = 0
    stalled_until: int = 0  # what is sent before that instant arrives after it
    row_ms: int = 0  # how long each row of masters is under way


@dataclass(slots=True)
class Exchange:
    """One request under way."""

    boot: int
    deadline: int
    done: Callable[[Answer], None]
    failed: Callable[[], None]
    over: bool = False
    extra_ms: int = 0
    number: int = 0


class Link:
    """From a client to one server. `usual` is the weather it comes back to; `bites` counts what is felt."""

    def __init__(self, loop: Loop, draw: Random, client: Client, server: Server, bites: Bites) -> None:
        self.loop, self.draw, self.client, self.server, self.bites = loop, draw, client, server, bites
        self.usual = Weather()
        self.weather = Weather()
        self.sent = 0
        self.arrived = 0

    def fair(self) -> Weather:
        """Return the weather of a link that nothing befalls."""
        return replace(self.usual)

    def ask(
        self,
        request: str,
        argument: object,
        *,
        timeout_ms: int,
        done: Callable[[Answer], None],
        failed: Callable[[], None],
    ) -> None:
        """Send a request. `done` may come late, twice, or after `failed`; one of them comes."""
        weather = self.weather
        self.sent += 1
        exchange = Exchange(self.client.boot, self.loop.now + timeout_ms, done, failed, number=self.sent)
        if request == "batch":
            exchange.extra_ms = weather.acks_late_ms
            if weather.uploads_cut:
                self.bites.count("net.black")
                self._lose(exchange)
                return
        if weather.cut:
            self.bites.count("net.cut")
            self.loop.after(1, self._fail, exchange)
            return
        if weather.black or (weather.drop and self.draw.random() < weather.drop):
            self.bites.count("net.black" if weather.black else "net.drop")
            self._lose(exchange)
            return
        self.loop.after(self._delay(), self._arrive, request, argument, exchange)
        if weather.repeat and self.draw.random() < weather.repeat:
            self.bites.count("net.repeat")
            self.loop.after(self._delay() + weather.late_ms, self._arrive, request, argument, exchange)

    def _delay(self) -> int:
        weather = self.weather
        delay = weather.latency_ms + int(self.draw.random() * weather.spread_ms)
        if weather.stalled_until > self.loop.now:
            self.bites.count("net.stall")
            delay += weather.stalled_until - self.loop.now
        if weather.late and self.draw.random() < weather.late:
            self.bites.count("net.late")
            delay += int(self.draw.random() * weather.late_ms)
        return delay

    def _arrive(self, request: str, argument: object, exchange: Exchange) -> None:
        if exchange.number < self.arrived:
            self.bites.count("net.reorder")
        else:
            self.arrived = exchange.number
        if not self.server.alive:
            self.loop.after(self.weather.latency_ms, self._fail, exchange)
            return

        def respond(answer: Answer) -> None:
            self._back(answer, exchange)

        def lost() -> None:
            self._lose(exchange)

        self.server.handle(request, argument, respond, lost)

    def _back(self, answer: Answer, exchange: Exchange) -> None:
        weather = self.weather
        gone = weather.cut or weather.black or weather.answers_cut
        if gone or (weather.drop and self.draw.random() < weather.drop):
            self.bites.count("net.answer")
            self._lose(exchange)
            return
        delay = self._delay() + exchange.extra_ms + self._length_ms(answer)
        if self.loop.now + delay > exchange.deadline:
            self._lose(exchange)
        self.loop.after(delay, self._deliver, answer, exchange)

    def _length_ms(self, answer: Answer) -> int:
        row_ms = self.weather.row_ms
        match answer:
            case FeedPage():
                return row_ms * (len(answer.rows) + len(answer.urgent))
            case LoadChunk():
                return row_ms * len(answer.rows)
        return 0

    def _deliver(self, answer: Answer, exchange: Exchange) -> None:
        if self.client.alive and self.client.boot == exchange.boot:
            exchange.over = True
            exchange.done(answer)

    def _lose(self, exchange: Exchange) -> None:
        self.loop.after(max(1, exchange.deadline - self.loop.now), self._fail, exchange)

    def _fail(self, exchange: Exchange) -> None:
        if exchange.over or not self.client.alive or self.client.boot != exchange.boot:
            return
        exchange.over = True
        exchange.failed()
