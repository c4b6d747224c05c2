"""Runs a pure core in a thread: events in, steps taken, effects carried out strictly in order.

Keeps: an effect's answer is stepped before anything that came from outside; the thread never dies silently:
whatever is raised is logged and shown, and the core begins anew from what is stored.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

from syncref.errors import SyncrefError
from syncref.logs import event as log_event

S = TypeVar("S")
V = TypeVar("V")
F = TypeVar("F")
_RESTART_DELAY_S_MAX = 5.0
_log = logging.getLogger("syncref.till")


class Worker(ABC, Generic[S, V, F]):
    """One core with its thread. S: its state, V: its events, F: its effects."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.error: str | None = None
        self.failures = 0
        self.state: S | None = None
        self._inbox: queue.SimpleQueue[V | None] = queue.SimpleQueue()
        self._timer: tuple[float, V] | None = None
        self._stopping = threading.Event()
        self._random = random.SystemRandom()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, *, timeout_s: float = 5.0) -> None:
        """Ask the thread to end after the step that it is in, and wait for it."""
        self._stopping.set()
        self._inbox.put(None)
        self.interrupt()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def post(self, event: V) -> None:
        """Hand an event in, from any thread."""
        self._inbox.put(event)

    def draw(self) -> float:
        """Return a random number in [0, 1) for a back-off."""
        return self._random.random()

    def set_timer(self, delay_ms: int, event: V) -> None:
        """Hand `event` in after a delay; an earlier timer is void."""
        self._timer = (time.monotonic() + delay_ms / 1000, event)

    def failed(self, error: SyncrefError) -> None:
        """Show an error that the core is told of."""
        self.failures += 1
        if self.error != error.message:
            log_event(_log, logging.WARNING, f"{self.name} failed", code=error.code, message=error.message)
        self.error = error.message

    @abstractmethod
    def begin(self) -> tuple[S, Iterable[V]]:
        """Return the core's state from what is stored, and the events to begin with."""

    @abstractmethod
    def step(self, state: S, event: V) -> tuple[S, Iterable[F]]:
        """Take one step of the core."""

    @abstractmethod
    def carry_out(self, effect: F) -> V | None:
        """Carry an effect out and return the event that answers it, if one does."""

    def interrupt(self) -> None:
        """Make a blocking effect end early, if there is one."""

    def end(self) -> None:
        """Give back what the thread held."""

    def stepped(self, state: S) -> None:
        """Look at the state after an event has been dealt with."""

    def _live(self) -> None:
        crashes = 0
        while not self._stopping.is_set():
            try:
                self.state, first = self.begin()
                for event in first:
                    self._deal_with(event)
                crashes = 0
                while (received := self._next()) is not None:
                    self._deal_with(received)
            except SyncrefError as error:
                self.failed(error)
            except Exception as error:  # noqa: BLE001 - the outer loop: it reports, and begins anew
                self.failures += 1
                self.error = f"{type(error).__name__}: {error}"
                _log.error("%s crashed and begins anew", self.name, exc_info=error)
            crashes += 1
            self._stopping.wait(min(_RESTART_DELAY_S_MAX, 0.1 * 2**crashes) * (0.5 + self.draw() / 2))
        self.end()

    def _next(self) -> V | None:
        """Return the next event, or None when the thread is to end."""
        while not self._stopping.is_set():
            timeout = None if self._timer is None else self._timer[0] - time.monotonic()
            if timeout is not None and timeout <= 0 and self._timer is not None:
                event = self._timer[1]
                self._timer = None
                return event
            try:
                return self._inbox.get(timeout=timeout)
            except queue.Empty:
                continue
        return None

    def _deal_with(self, event: V) -> None:
        pending = deque([event])
        while pending and not self._stopping.is_set():
            assert self.state is not None
            self.state, effects = self.step(self.state, pending.popleft())
            for effect in effects:
                answer = self.carry_out(effect)
                if answer is not None:
                    pending.append(answer)
        assert self.state is not None
        self.stepped(self.state)
