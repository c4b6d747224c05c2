"""Walks every reachable state of a model, breadth first, and says whether its invariants hold in all of them.

States are kept as 16-byte fingerprints with their parents, so that a violation comes with the shortest
sequence of steps that leads to it. Liveness: from every state a settled one is reachable by steps that
are no faults.
"""

from __future__ import annotations

import hashlib
import time
from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

_encoder = msgspec.msgpack.Encoder()


class Next(NamedTuple):
    """A step out of a state. `fault` steps are bounded by budgets and never needed to settle."""

    label: str
    state: Any
    fault: bool = False


class Model(Protocol):
    """What the engine needs of a configuration."""

    name: str

    def initial(self) -> Any:
        """Return the first state: a value that msgspec can encode."""

    def steps(self, state: Any) -> Iterable[Next]:
        """Return every step out of a state. Raises Violation where one breaks a rule."""

    def wrong(self, state: Any) -> str | None:
        """Return which invariant a state breaks."""

    def settled(self, state: Any) -> bool:
        """Return whether everything is where it belongs."""


class Violation(Exception):
    """A step breaks a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What came of a walk. `trace` leads to the violation; `complete`: no state was left out."""

    model: str
    states: int
    transitions: int
    settled: int
    seconds: float
    complete: bool
    violation: str | None = None
    trace: tuple[str, ...] = ()


def fingerprint(state: Any) -> bytes:
    """Return 16 bytes that stand for a state."""
    return hashlib.blake2b(_encoder.encode(state), digest_size=16).digest()


def walk(model: Model, *, states_max: int = 5_000_000, seconds_max: float = 600.0) -> Walk:
    """Visit every reachable state, within bounds."""
    return _Walker(model, states_max, seconds_max).run()


class _Walker:
    def __init__(self, model: Model, states_max: int, seconds_max: float) -> None:
        self.model, self.states_max = model, states_max
        self.began = time.monotonic()
        self.until = self.began + seconds_max
        self.index: dict[bytes, int] = {}
        self.parents = array("l")
        self.labels: list[str] = []
        self.edges_from = array("l")  # steps that are no faults, for the way back from settled states
        self.edges_to = array("l")
        self.settled = array("l")
        self.transitions = 0
        self.frontier: deque[tuple[int, Any]] = deque()

    def run(self) -> Walk:
        """Walk, then look whether a settled state is reachable from everywhere."""
        first = self.model.initial()
        self._add(first, -1, "start")
        try:
            while self.frontier:
                number, state = self.frontier.popleft()
                if len(self.index) > self.states_max or time.monotonic() > self.until:
                    return self._result(complete=False)
                self._expand(number, state)
        except _Found as found:
            return self._result(complete=False, violation=found.text, at=found.at, last=found.label)
        stuck = self._stuck()
        if stuck is not None:
            return self._result(complete=True, violation="no settled state is reachable", at=stuck)
        return self._result(complete=True)

    def _expand(self, number: int, state: Any) -> None:
        steps = iter(self.model.steps(state))
        while True:
            try:
                step = next(steps, None)
            except (Violation, AssertionError) as error:
                raise _Found(str(error) or "an assertion of the cores", number, "") from error
            if step is None:
                return
            self.transitions += 1
            target = self._add(step.state, number, step.label)
            if not step.fault:
                self.edges_from.append(number)
                self.edges_to.append(target)

    def _add(self, state: Any, parent: int, label: str) -> int:
        key = fingerprint(state)
        known = self.index.get(key)
        if known is not None:
            return known
        number = len(self.index)
        self.index[key] = number
        self.parents.append(parent)
        self.labels.append(label)
        wrong = self.model.wrong(state)
        if wrong is not None:
            raise _Found(wrong, number, "")
        if self.model.settled(state):
            self.settled.append(number)
        self.frontier.append((number, state))
        return number

    def _stuck(self) -> int | None:
        """Return a state from which no settled one is reachable without faults."""
        count = len(self.index)
        back: list[list[int]] = [[] for _ in range(count)]
        for source, target in zip(self.edges_from, self.edges_to, strict=True):
            back[target].append(source)
        reached = bytearray(count)
        queue = deque(self.settled)
        for number in queue:
            reached[number] = 1
        while queue:
            for source in back[queue.popleft()]:
                if not reached[source]:
                    reached[source] = 1
                    queue.append(source)
        missing = reached.find(0)
        return None if missing < 0 else missing

    def _result(self, *, complete: bool, violation: str | None = None, at: int = -1, last: str = "") -> Walk:
        trace = [last] if last else []
        while at > 0:
            trace.append(self.labels[at])
            at = self.parents[at]
        return Walk(
            model=self.model.name,
            states=len(self.index),
            transitions=self.transitions,
            settled=len(self.settled),
            seconds=time.monotonic() - self.began,
            complete=complete,
            violation=violation,
            trace=tuple(reversed(trace)),
        )


class _Found(Exception):
    def __init__(self, text: str, at: int, label: str) -> None:
        super().__init__(text)
        self.text, self.at, self.label = text, at, label
