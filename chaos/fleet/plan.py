"""What a fleet is told to run: argument lists, never shell lines. Nothing here knows the system under test."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chaos.profiles import Caps

NO_CAPS = Caps()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlan:
    """One long-running process.

    `env` is added to the lab's own environment. `folders` names other nodes whose folders it uses; `ports` what
    it listens on besides its own port, by the names that the fleet gives ports to. `beside` is for the lab's own
    processes, such as the load generator: on this machine, whatever the fleet. `health_url` is http://,
    https://, tcp:// or postgresql://; None: healthy as soon as it runs. `account` is a user name to run as when
    the lab is root. `stop_signal` asks for a graceful end.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    health_url: str | None = None
    health_deadline_s: float = 30.0
    caps: Caps = NO_CAPS
    cwd: Path | None = None
    account: str | None = None
    folders: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    beside: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    stop_deadline_s: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One one-shot command, such as making a schema; it must end with 0 within the deadline.

    `folders` names the nodes whose folders it uses.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    account: str | None = None
    folders: tuple[str, ...] = ()
    deadline_s: float = 120.0
