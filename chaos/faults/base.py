"""What a fault is: it is injected, looked at, lifted, read back, and it shows whether it bit.

Keeps: no fault counts as done because a call returned. `verify` reads the lifted state back from where it was
set, `evidence` shows the effect on the step the fault was aimed at, and what can't be done says so before the run.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from chaos.faults.backups import ServerBackups
from chaos.faults.disks import TillDisks
from chaos.fleet.links import Link
from chaos.fleet.node import State
from chaos.waiting import EVERY_S, wait_until
from chaos.witness import Witness

Aim = Literal["link", "node", "till", "database", "nothing"]


class Fleet(Protocol):
    """What faults need of a fleet; chaos.fleet.process says what each method does."""

    @property
    def kind(self) -> str: ...
    def dir(self, node: str) -> Path: ...
    def log(self, node: str) -> Path: ...
    def links(self, till: str | None = None) -> list[Link]: ...
    def names(self) -> list[str]: ...
    def state(self, node: str) -> State: ...
    def pid(self, node: str) -> int | None: ...
    def start(self, node: str, *, wait: bool = True) -> int: ...
    def stop(self, node: str) -> int | None: ...
    def kill(self, node: str) -> int | None: ...
    def pause(self, node: str) -> None: ...
    def resume(self, node: str) -> None: ...
    def healthy(self, node: str) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowClerkPlan:
    """How a clerk's change is written to the server's database: statements run in one transaction."""

    dsn: str
    statements: tuple[str, ...]


class Statements(Protocol):
    """A server's own PostgreSQL, for faults that are made by its administrator's functions."""

    def execute(self, sql: str) -> None:
        """Run a statement in a transaction of its own; raise FaultFailed when it fails."""

    def busy_with(self, function: str) -> bool:
        """Say whether a statement that names this function runs there, or did so just now; False: no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfUpload:
    """A POST to `url` (scheme, host and port) that announces `length` bytes and brings fewer."""

    url: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemPlan:
    """What faults must be told about the system under test; anything absent makes its fault "not run".

    `duplicates`: till -> node (added to the fleet, not started) that uploads the same till's journal.
    `databases`: server node -> its PostgreSQL, where there is a pair of them.
    `slow_clerks`: PostgreSQL node -> a clerk's change in it.
    `promoters`: server node -> node (added to the fleet, not started) that promotes it and ends.
    `clock_files`: till -> file holding the ms that the till adds to its clock.
    `backups`: server node -> backups of its database, where it stands alone.
    `disks`: how tills' disks are copied, lost and set up.
    `disk_logs`: node -> log of what it has not synced (see chaos/power).
    `half_uploads`: server -> a request to it of which only a part is ever sent.
    """

    duplicates: Mapping[str, str] = field(default_factory=dict)
    clock_files: Mapping[str, Path] = field(default_factory=dict)
    slow_clerks: Mapping[str, SlowClerkPlan] = field(default_factory=dict)
    databases: Mapping[str, Statements] = field(default_factory=dict)
    promoters: Mapping[str, str] = field(default_factory=dict)
    backups: Mapping[str, ServerBackups] = field(default_factory=dict)
    disks: TillDisks | None = None
    disk_logs: Mapping[str, Path] = field(default_factory=dict)
    half_uploads: Mapping[str, HalfUpload] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What faults work on. `now_s` is monotonic, `wall_ms` epoch ms."""

    fleet: Fleet
    witness: Witness
    system: SystemPlan = field(default_factory=SystemPlan)
    now_s: Callable[[], float] = time.monotonic
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    sleep: Callable[[float], None] = time.sleep

    def wait_until(self, holds: Callable[[], bool], within_s: float, *, every_s: float = EVERY_S) -> bool:
        """Return True as soon as `holds()` is, False when it was not by the deadline."""
        return wait_until(holds, within_s, every_s=every_s, now_s=self.now_s, sleep=self.sleep)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bite:
    """Whether a fault bit the step it was aimed at. None: it can't be told, which proves nothing."""

    bit: bool | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Healed:
    """Whether the lifted state was confirmed."""

    ok: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoParameters:
    """For faults that take none."""


class Fault(ABC):
    """One fault on some targets. Called in this order, by one thread:

    obstacle; inject; observe, about twice a second while it lasts; lift; verify; evidence. After a failed inject,
    lift and verify are still called. A `lift` that failed is called again; after the last time, `give_up`.
    `containers_only`: no other fleet can do it.
    """

    kind: ClassVar[str]
    aim: ClassVar[Aim]
    containers_only: ClassVar[bool] = False
    parameters: ClassVar[type[Any]] = NoParameters

    def __init__(self, targets: Sequence[str], parameters: Any = None) -> None:
        self.targets = tuple(targets)
        self.p = self.parameters() if parameters is None else parameters

    @classmethod
    def misfits(cls, targets: Sequence[str], p: Any) -> Mapping[str, str]:
        """Return key → what is wrong with targets and parameters that are each allowed by themselves."""
        return {}

    def obstacle(self, context: Context) -> str | None:
        """Return why this fault can't be run here, or None."""
        return None

    @abstractmethod
    def inject(self, context: Context) -> None:
        """Begin; raise ChaosError when it did not take."""

    def observe(self, context: Context) -> None:  # noqa: B027 - most faults need no look in between
        """Look at the effect while it lasts."""

    @abstractmethod
    def lift(self, context: Context) -> None:
        """End it, and nothing else: no restart, sale or sync that the system would not do by itself."""

    def give_up(self, context: Context) -> tuple[str, ...]:
        """Lifting failed for good: let go on what can go on as it is, and return the targets that can't.

        Those the lab has left behind, so nothing that they show or hold up counts against the system.
        """
        return ()

    @abstractmethod
    def verify(self, context: Context) -> Healed:
        """Read back that it is over."""

    @abstractmethod
    def evidence(self, context: Context) -> Bite:
        """Tell whether it bit."""


def planned_disks(context: Context) -> TillDisks:
    """Return the plan's disks; obstacle() has seen that there are some."""
    assert context.system.disks is not None
    return context.system.disks


def together(bites: Iterable[Bite]) -> Bite:
    """Join the bites of several targets: the weakest counts."""
    found = list(bites)
    order = {False: 0, None: 1, True: 2}
    bit = min((one.bit for one in found), key=lambda value: order[value], default=None)
    return Bite(bit=bit, text="; ".join(one.text for one in found) or "no targets")
