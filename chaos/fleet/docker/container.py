"""One container of the fleet, through all of its lives.

Keeps: whatever ended without being asked to is remembered, with the engine's word on whether the kernel killed it
at its memory limit; its log is collected before the container is removed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from chaos.caps.base import Counters
from chaos.errors import NodeFailed
from chaos.fleet.docker.counting import Account, engine_counters, kernel_counters
from chaos.fleet.health import healthy
from chaos.fleet.node import Ending, State
from chaos.fleet.plan import NodePlan

POLL_S = 0.1
NOTICE_S = 10.0
TAIL = 2000
BALLAST = "/tmp/ballast"  # noqa: S108 - a container's own
# in pieces: a removed file that somebody still writes to goes on taking memory
HOG = 'exec 3>"$0"; while [ -e "$0" ] && dd if=/dev/zero bs=1M count=16 >&3; do :; done'
SIGNALLED = 128


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn the engine's refusals into NodeFailed."""
    try:
        yield
    except (DockerException, requests.RequestException) as error:
        raise NodeFailed(f"{what}: {getattr(error, 'explanation', None) or error}") from error


@dataclass(slots=True, kw_only=True)
class ContainerNode:
    """A planned container and its present life, if any. Safe to use from several threads."""

    plan: NodePlan
    container: Container
    log: Path
    lives: int = 0
    endings: list[Ending] = field(default_factory=list)
    account: Account = field(default_factory=Account)
    pid: int | None = None
    _asked: bool = False
    _squeezed: bool = False
    _oom: bool = False
    _by_kernel: bool = False
    _noticed: threading.Condition = field(default_factory=threading.Condition)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def state(self) -> State:
        """Return what the container is doing; "ended": it went by itself."""
        word = str(self._look()["Status"])
        if word in {"running", "paused"}:
            return "paused" if word == "paused" else "running"
        if word == "restarting":
            return "ended"
        if not self.lives:
            return "new"
        return "stopped" if self._asked else "ended"

    def launch(self) -> int:
        """Start the container without waiting for its health; return its first process's id on this machine."""
        with self._lock, told(f"{self.plan.name} could not be started"):
            if self.state in {"running", "paused"}:
                raise NodeFailed(f"{self.plan.name} is running already, as process {self.pid}")
            self._asked = self._squeezed = False
            self.container.start()
            pid = int(self._look()["Pid"])
            self._alive(pid)
            return pid

    def wait_healthy(self) -> None:
        """Wait until the node answers; raise NodeFailed with the log's tail when it ends or is too late."""
        deadline = time.monotonic() + self.plan.health_deadline_s
        while True:
            now = self._look()
            if now["Status"] != "running":
                ended = f"{self.plan.name} ended with {now.get('ExitCode')} before it was healthy"
                raise NodeFailed(ended + self.tail())
            if self.plan.health_url is None or healthy(self.plan.health_url):
                return
            if time.monotonic() > deadline:
                late = f"{self.plan.name} did not answer within {self.plan.health_deadline_s:g} s"
                raise NodeFailed(late + self.tail())
            time.sleep(POLL_S)

    def stop(self) -> int | None:
        """Ask for a graceful end, kill after the deadline; return the exit status, None if it wasn't running."""
        with self._lock, told(f"{self.plan.name} could not be stopped"):
            if self.state == "paused":
                self.resume()
            if self.state != "running":
                return None
            self.sample()
            with self._ending() as before:
                self.container.stop(timeout=round(self.plan.stop_deadline_s))
            return self._ended(before)

    def kill(self) -> int | None:
        """Kill -9 everything in the container; return the status, None if it wasn't running."""
        with self._lock, told(f"{self.plan.name} could not be killed"):
            if self.state not in {"running", "paused"}:
                return None
            self.sample()
            with self._ending() as before:
                self.container.kill()
            return self._ended(before)

    def pause(self) -> None:
        """Freeze the container; raise NodeFailed unless the engine confirms it."""
        with self._lock, told(f"{self.plan.name} could not be paused"):
            self.container.pause()
            if self.state != "paused":
                raise NodeFailed(f"{self.plan.name} did not pause")

    def resume(self) -> None:
        """Let it run again; raise NodeFailed unless the engine confirms it."""
        with self._lock, told(f"{self.plan.name} could not be resumed"):
            self.container.unpause()
            if self.state != "running":
                raise NodeFailed(f"{self.plan.name} did not go on")

    def squeeze(self) -> None:
        """Fill the container's /tmp, which is memory, until the kernel kills at the limit: an end asked for."""
        with self._lock, told(f"{self.plan.name} could not be squeezed"):
            self.sample()
            self._squeezed = True
            self.container.exec_run(["sh", "-c", HOG, BALLAST], detach=True)

    def relieve(self) -> None:
        """End what `squeeze` began, and empty /tmp of it."""
        with self._lock, told(f"{self.plan.name} could not be relieved"):
            self.container.exec_run(["rm", "-f", BALLAST])
            self._squeezed = False

    def event(self, action: str, attributes: dict[str, str]) -> None:
        """Take in what the engine tells of the container, in the order in which it happened."""
        if action == "start":
            now = self._look()
            if now["Status"] == "running":
                self._alive(int(now["Pid"]))
            return
        if action == "oom":
            self._oom = True
        if action != "die":
            return
        code = int(attributes.get("exitCode", "-1"))
        status = SIGNALLED - code if code > SIGNALLED else code
        oom, self._oom = self._oom or bool(self._look().get("OOMKilled")), False
        with self._noticed:
            asked = self._asked or (self._squeezed and oom)
            self._squeezed = False
            ending = Ending(node=self.plan.name, pid=self.pid or 0, status=status, asked=asked, oom=oom)
            self.endings.append(ending)
            self.pid = None
            self.account.end(oom_kills_least=1 if oom else 0)
            self._noticed.notify_all()

    def notice(self) -> None:
        """Nothing to do: the engine tells of every end by itself."""

    def sample(self) -> None:
        """Read the kernel's counters of the present life."""
        pid = self.pid
        if pid is not None:
            now = kernel_counters(pid)
            self._by_kernel = self._by_kernel or now is not None
            self.account.note(now if self._by_kernel else self._by_engine())

    def counters(self) -> Counters:
        """Return the kernel's account of all lives."""
        self.sample()
        return self.account.total()

    def collect_log(self) -> None:
        """Write what the container has said so far to its log file."""
        with told(f"{self.plan.name}: its log"):
            self.log.write_bytes(self.container.logs(timestamps=False))

    def tail(self) -> str:
        """Return the end of the log, as an error message's last part."""
        try:
            self.collect_log()
            text = self.log.read_bytes()[-TAIL:].decode(errors="replace").strip()
        except (NodeFailed, OSError):
            text = ""
        return f"; log {self.log}:\n{text}" if text else f"; its log {self.log} is empty"

    def answers(self) -> bool:
        """Tell whether the node answers now; one without a health_url does while it runs."""
        url = self.plan.health_url
        return self.state == "running" if url is None else healthy(url)

    def _by_engine(self) -> Counters | None:
        try:
            stats: Any = self.container.stats(stream=False, one_shot=True)
        except (DockerException, requests.RequestException):
            return None
        return engine_counters(stats, self.container.attrs["HostConfig"])

    def _alive(self, pid: int) -> None:
        with self._noticed:
            if pid and pid != self.pid:
                self.pid = pid
                self.lives += 1
                self.account.note(kernel_counters(pid))

    @contextmanager
    def _ending(self) -> Iterator[int]:
        self._asked = True
        yield len(self.endings)

    def _ended(self, before: int) -> int | None:
        """Wait until the engine has told of the end."""
        with self._noticed:
            if not self._noticed.wait_for(lambda: len(self.endings) > before, timeout=NOTICE_S):
                raise NodeFailed(f"{self.plan.name}: the engine did not tell that it ended")
            return self.endings[-1].status

    def _look(self) -> dict[str, Any]:
        try:
            self.container.reload()
        except (NotFound, APIError, requests.RequestException) as error:
            raise NodeFailed(f"{self.plan.name}: the engine does not tell: {error}") from error
        found: dict[str, Any] = self.container.attrs["State"]
        return found
