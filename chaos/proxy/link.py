"""One direction of one connection through the built-in proxy.

Keeps: bytes stay in order; a reader that stalls holds up nothing but its own direction, and changes of toxics or a
cut take effect at once, for nothing here is waited for that can't be interrupted by `changed` or an abort.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence

from chaos.proxy.toxics import CHUNK, ToxicSpec, delay_s, slices

HELD_BYTES_MAX = 1024 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Closed(Exception):
    """The connection has to end now; with `reset`, by an RST."""

    def __init__(self, *, reset: bool = False) -> None:
        self.reset = reset


class Direction:
    """Moves bytes from a reader to a writer through the toxics of one stream."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        dice: random.Random,
        count: Callable[[int, bool], None],
    ) -> None:
        self.reader, self.writer = reader, writer
        self._dice = dice
        self._count = count
        self._toxics: tuple[ToxicSpec, ...] = ()
        self._lots: dict[str, bool] = {}
        self._sent_under: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._held: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()

    def change(self, toxics: Sequence[ToxicSpec]) -> bool:
        """Put other toxics in force; True if the connection must end, for a time-out on it was lifted."""
        for toxic in toxics:
            if toxic.name not in self._lots:
                self._lots[toxic.name] = self._dice.random() < toxic.toxicity
        active = tuple(toxic for toxic in toxics if self._lots[toxic.name])
        names = {toxic.name for toxic in toxics}
        self._lots = {name: lot for name, lot in self._lots.items() if name in names}
        self._sent_under = {name: sent for name, sent in self._sent_under.items() if name in names}
        lifted = any(old.type == "timeout" and old.name not in names for old in self._toxics)
        self._toxics = active
        self._changed.set()
        self._wake.set()
        return lifted

    async def run(self) -> None:
        """Move bytes until one side ends; raises Closed when a toxic ends it."""
        intake = asyncio.ensure_future(self._take_in())
        try:
            await self._give_out()
        finally:
            intake.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await intake

    def _find(self, kind: str) -> ToxicSpec | None:
        return next((toxic for toxic in self._toxics if toxic.type == kind), None)

    async def _take_in(self) -> None:
        loop = asyncio.get_running_loop()
        due = 0.0
        while True:
            while self._held_bytes >= HELD_BYTES_MAX:
                self._room.clear()
                await self._room.wait()
            try:
                chunk = await self.reader.read(4 * CHUNK)
            except OSError:
                chunk = b""
            self._count(len(chunk), True)
            due = max(due, loop.time() + delay_s(self._toxics, self._dice))
            self._held.append((due, chunk))
            self._held_bytes += len(chunk)
            self._wake.set()
            if not chunk:
                return

    async def _give_out(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._until_held()
            due, chunk = self._held[0]
            while self._find("latency") and (left := due - loop.time()) > 0:
                await self._pause(left)
            self._held.popleft()
            self._held_bytes -= len(chunk)
            self._room.set()
            if not chunk:
                if slow := self._find("slow_close"):
                    await asyncio.sleep(slow.attributes["delay"] / 1000)
                return
            await self._pass(chunk)

    async def _until_held(self) -> None:
        """Wait for bytes; a time-out toxic counts on a silent connection, too."""
        while not self._held:
            self._wake.clear()
            stop = self._find("timeout")
            limit = stop.attributes["timeout"] / 1000 if stop and stop.attributes["timeout"] else None
            try:
                await asyncio.wait_for(self._wake.wait(), limit)
            except TimeoutError as error:
                raise Closed from error

    async def _pass(self, chunk: bytes) -> None:
        """Send a chunk on, or lose it, as the toxics say."""
        if reset := self._find("reset_peer"):
            await asyncio.sleep(reset.attributes["timeout"] / 1000)
            raise Closed(reset=True)
        if stop := self._find("timeout"):
            if stop.attributes["timeout"]:
                await self._pause(stop.attributes["timeout"] / 1000)
                if self._find("timeout"):
                    raise Closed
            return
        if not self._toxics:
            await self._send(chunk)
            return
        for piece, pause in slices(chunk, self._toxics, self._dice):
            limit = self._find("limit_data")
            room = len(piece)
            if limit:
                room = limit.attributes["bytes"] - self._sent_under.get(limit.name, 0)
                self._sent_under[limit.name] = self._sent_under.get(limit.name, 0) + min(room, len(piece))
            if room > 0:
                await self._send(piece[:room])
            if limit and room <= len(piece):
                raise Closed
            if pause:
                await self._pause(pause)

    async def _send(self, chunk: bytes) -> None:
        self.writer.write(chunk)
        self._count(len(chunk), False)
        await self.writer.drain()

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than until the toxics change."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)


def abort(writer: asyncio.StreamWriter, *, reset: bool = False) -> None:
    """Drop a connection at once, unsent bytes and all; with `reset` the peer gets an RST."""
    peer = writer.get_extra_info("socket")
    if reset and peer is not None:
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()
