"""The proxies of one built-in server: each listens for one till and forwards to one server.

Keeps: a disabled proxy neither listens nor holds a connection; connections, toxics and dice are numbered from the
seed, so that one seed gives the same jitter and the same lots to the same connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chaos.proxy.link import Closed, Direction, abort
from chaos.proxy.toxics import ToxicSpec

CONNECT_S = 10.0


@dataclass(slots=True, kw_only=True)
class Counts:
    """Bytes by stream, over all connections of all proxies that had one name."""

    received: dict[str, int] = field(default_factory=lambda: {"upstream": 0, "downstream": 0})
    sent: dict[str, int] = field(default_factory=lambda: {"upstream": 0, "downstream": 0})

    def add(self, stream: str, size: int, *, received: bool) -> None:
        """Count bytes that came in, or went out."""
        table = self.received if received else self.sent
        table[stream] += size


class Connection:
    """Both directions of one forwarded connection."""

    def __init__(self, up: Direction, down: Direction) -> None:
        self.up, self.down = up, down

    def change(self, toxics: Mapping[str, ToxicSpec]) -> None:
        """Put other toxics in force."""
        ends = [
            direction.change([toxic for toxic in toxics.values() if toxic.stream == stream])
            for direction, stream in ((self.up, "upstream"), (self.down, "downstream"))
        ]
        if any(ends):
            self.abort()

    def abort(self, *, reset: bool = False) -> None:
        """End both sides at once."""
        for direction in (self.up, self.down):
            abort(direction.writer, reset=reset)

    async def run(self) -> None:
        """Forward until both directions are done."""
        tasks = {asyncio.ensure_future(self._forward(one)) for one in (self.up, self.down)}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            self.abort(reset=any(isinstance(one, Closed) and one.reset for one in ended))

    async def _forward(self, direction: Direction) -> None:
        await direction.run()
        with contextlib.suppress(OSError, RuntimeError):
            await direction.writer.drain()
            direction.writer.write_eof()


class Proxy:
    """One listening address with its toxics."""

    def __init__(self, name: str, listen: str, upstream: str, *, seed: int, counts: Counts) -> None:
        self.name, self.listen, self.upstream = name, listen, upstream
        self.toxics: dict[str, ToxicSpec] = {}
        self.counts = counts
        self._seed = seed
        self._accepted = 0
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def enabled(self) -> bool:
        """Whether it listens."""
        return self._server is not None

    def as_json(self) -> dict[str, object]:
        """Return the proxy as the API shows it."""
        return {
            "name": self.name,
            "listen": self.listen,
            "upstream": self.upstream,
            "enabled": self.enabled,
            "toxics": [toxic.as_json() for toxic in self.toxics.values()],
        }

    async def enable(self) -> None:
        """Begin to listen; raises OSError for a taken address. Port 0 becomes a real one."""
        if self._server is not None:
            return
        host, _, port = self.listen.rpartition(":")
        self._server = await asyncio.start_server(self._accept, host.strip("[]") or None, int(port))
        bound = self._server.sockets[0].getsockname()
        self.listen = f"{host}:{bound[1]}"

    async def disable(self) -> None:
        """Stop listening and drop all connections."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for connection in list(self._connections):
            connection.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def change(self) -> None:
        """Put the present toxics in force on every open connection."""
        for connection in list(self._connections):
            connection.change(self.toxics)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._accepted += 1
        number = self._accepted
        try:
            await self._serve(reader, writer, number)
        except asyncio.CancelledError:  # the proxy was disabled; the stream's own callback must not see it
            pass
        finally:
            abort(writer)
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        host, _, port = self.upstream.rpartition(":")
        try:
            far = await asyncio.wait_for(asyncio.open_connection(host.strip("[]"), int(port)), CONNECT_S)
        except OSError:  # TimeoutError is one
            return
        connection = Connection(
            Direction(reader, far[1], self._dice(number, "upstream"), self._counter("upstream")),
            Direction(far[0], writer, self._dice(number, "downstream"), self._counter("downstream")),
        )
        self._connections.add(connection)
        connection.change(self.toxics)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            connection.abort()

    def _dice(self, number: int, stream: str) -> random.Random:
        return random.Random(f"{self._seed}/{self.name}/{number}/{stream}")  # noqa: S311 - faults, not secrets

    def _counter(self, stream: str) -> Callable[[int, bool], None]:
        return lambda size, received: self.counts.add(stream, size, received=received)
