"""One child process of the fleet, through all of its lives.

Keeps: a node is called running only while its process lives, and healthy only after it answered. Whatever ended
without being asked to is remembered.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from chaos.caps.base import Cage, Counters
from chaos.errors import NodeFailed
from chaos.fleet.health import healthy
from chaos.fleet.plan import NodePlan
from chaos.fleet.processes import family, state_letter, wait_gone
from chaos.fleet.wardship import Wardship

State = Literal["new", "running", "paused", "stopped", "ended"]
KILL_S = 10.0
POLL_S = 0.05
TAIL_BYTES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a life of a node ended.

    `status`: exit code, or minus the signal; `asked`: the lab wanted it; `oom`: the kernel killed at the memory
    limit, where the fleet can tell.
    """

    node: str
    pid: int
    status: int | None
    asked: bool
    oom: bool = False


@dataclass(slots=True, kw_only=True)
class Node:
    """A planned process and its present life, if any. Safe to use from several threads."""

    plan: NodePlan
    warden: Wardship
    cage: Cage
    log: Path
    cwd: Path
    env: Mapping[str, str]
    pid: int | None = None
    lives: int = 0
    endings: list[Ending] = field(default_factory=list)
    _paused: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def state(self) -> State:
        """Return what the node is doing; "ended": it went by itself."""
        with self._lock:
            self._notice()
            if self.pid is not None:
                return "paused" if self._paused else "running"
            if not self.endings:
                return "new"
            return "stopped" if self.endings[-1].asked else "ended"

    def launch(self) -> int:
        """Start the process without waiting for its health; return its id."""
        with self._lock:
            self._notice()
            if self.pid is not None:
                raise NodeFailed(f"{self.plan.name} is running already, as process {self.pid}")
            try:
                self.pid = self.warden.spawn(
                    [*self.cage.argv_prefix, *self.plan.argv],
                    env=self.env,
                    cwd=self.cwd,
                    log=self.log,
                    procs=self.cage.procs_files,
                    account=self.plan.account,
                )
            except NodeFailed as error:
                raise NodeFailed(f"{self.plan.name} could not be started: {error}") from error
            self.lives += 1
            self._paused = False
            return self.pid

    def wait_healthy(self) -> None:
        """Wait until the node answers; raise NodeFailed with the log's tail when it ends or is too late."""
        deadline = time.monotonic() + self.plan.health_deadline_s
        while True:
            pid = self.pid
            ended = None if pid is None else self.warden.exit_status(pid)
            if pid is None or ended is not None:
                raise NodeFailed(f"{self.plan.name} ended with {ended} before it was healthy{self.tail()}")
            if self.plan.health_url is None or healthy(self.plan.health_url):
                return
            if time.monotonic() > deadline:
                late = f"{self.plan.name} did not answer within {self.plan.health_deadline_s:g} s"
                raise NodeFailed(late + self.tail())
            time.sleep(POLL_S)

    def stop(self) -> int | None:
        """Ask for a graceful end, kill after the deadline; return the exit status, None if it wasn't running."""
        with self._lock:
            self._notice()
            pid = self.pid
            if pid is None:
                return None
            if self._paused:
                self.resume()
            followers = [one.pid for one in family(pid)]
            self.warden.signal(pid, self.plan.stop_signal)
            if self.warden.wait(pid, self.plan.stop_deadline_s) is None:
                self.warden.signal(pid, signal.SIGKILL, whole_family=True)
            return self._end(pid, followers)

    def kill(self) -> int | None:
        """Kill -9 the process and all it begot, at one moment; return the status, None if it wasn't running."""
        with self._lock:
            self._notice()
            pid = self.pid
            if pid is None:
                return None
            reached = self.warden.signal(pid, signal.SIGKILL, whole_family=True)
            return self._end(pid, reached)

    def pause(self) -> None:
        """Stop the process and its descendants in their tracks; raise NodeFailed unless the kernel confirms it."""
        self._freeze(signal.SIGSTOP, paused=True)

    def resume(self) -> None:
        """Let them run again; raise NodeFailed unless the kernel confirms it."""
        self._freeze(signal.SIGCONT, paused=False)

    def answers(self) -> bool:
        """Tell whether the node answers now; one without a health_url does while it runs."""
        url = self.plan.health_url
        return self.state == "running" if url is None else healthy(url)

    def notice(self) -> None:
        """Take note of an end that nobody asked for."""
        with self._lock:
            self._notice()

    def counters(self) -> Counters:
        """Return the kernel's account of this node."""
        return self.cage.read(self.pid)

    def tail(self) -> str:
        """Return the end of the log, as an error message's last part."""
        try:
            text = self.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace").strip()
        except OSError:
            text = ""
        return f"; log {self.log}:\n{text}" if text else f"; its log {self.log} is empty"

    def _freeze(self, number: signal.Signals, *, paused: bool) -> None:
        with self._lock:
            self._notice()
            if self.pid is None:
                raise NodeFailed(f"{self.plan.name} is not running")
            reached = self.warden.signal(self.pid, number, whole_family=True)
            wanted = {"T", "Z", ""} if paused else {"R", "S", "D", "Z", ""}
            end = time.monotonic() + KILL_S
            while not all(state_letter(pid) in wanted for pid in reached):
                if time.monotonic() > end:
                    raise NodeFailed(f"{self.plan.name} did not follow {number.name}")
                time.sleep(POLL_S / 5)
            self._paused = paused

    def _end(self, pid: int, followers: list[int]) -> int | None:
        status = self.warden.wait(pid, KILL_S)
        if status is None:
            raise NodeFailed(f"{self.plan.name}: process {pid} can't be ended")
        left = wait_gone(followers, self.plan.stop_deadline_s)
        self._forget(pid, status, asked=True)
        if left:
            raise NodeFailed(f"{self.plan.name}: its processes {left} outlive it")
        return status

    def _notice(self) -> None:
        if self.pid is not None and (status := self.warden.exit_status(self.pid)) is not None:
            self._forget(self.pid, status, asked=False)

    def _forget(self, pid: int, status: int | None, *, asked: bool) -> None:
        self.cage.read(pid)
        self.endings.append(Ending(node=self.plan.name, pid=pid, status=status, asked=asked))
        self.pid = None
        self._paused = False
