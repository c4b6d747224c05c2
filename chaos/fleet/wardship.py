"""The lab's side of the warden: asks it to start and signal nodes, and learns when they end."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chaos
from chaos.errors import CannotRun, NodeFailed, WardenLost

ANSWER_S = 30.0
FAREWELL_S = 30.0


@dataclass(slots=True)
class Pending:
    """A request whose answer is awaited."""

    done: threading.Event = field(default_factory=threading.Event)
    answer: dict[str, Any] = field(default_factory=dict)


class Wardship:
    """A running warden. Safe to use from several threads."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.exits: dict[int, int] = {}
        self.lost = False
        self._ended = threading.Condition()
        self._lock = threading.Lock()
        self._pending: dict[int, Pending] = {}
        self._next = 0
        ours, theirs = socket.socketpair()
        self._socket = ours
        root = str(Path(chaos.__file__).parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "chaos.fleet.warden", f"--fd={theirs.fileno()}", f"--folder={folder}"],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                    cwd="/",
                )
        except OSError as error:
            ours.close()
            raise CannotRun(f"the fleet's warden process can't be started: {error}") from error
        finally:
            theirs.close()
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, name="warden", daemon=True)
        self._reader.start()

    def spawn(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        procs: Sequence[Path] = (),
        account: str | None = None,
    ) -> int:
        """Start a process and return its id; raise NodeFailed when it can't be executed."""
        answer = self._ask(
            op="spawn",
            argv=list(argv),
            env=dict(env),
            cwd=str(cwd),
            log=str(log),
            procs=[str(path) for path in procs],
            account=account,
        )
        return int(answer["pid"])

    def signal(self, pid: int, number: int, *, whole_family: bool = False) -> list[int]:
        """Signal a process, or it and all its descendants; return the ids reached, none if it had ended."""
        answer = self._ask(op="signal", pid=pid, signal=int(number), family=whole_family)
        return [int(one) for one in answer["pids"]]

    def exit_status(self, pid: int) -> int | None:
        """Return how a process ended (negative: by that signal), or None while it runs."""
        return self.exits.get(pid)

    def wait(self, pid: int, deadline_s: float) -> int | None:
        """Wait for a process to end; return its status, or None at the deadline."""
        with self._ended:
            self._ended.wait_for(lambda: pid in self.exits or self.lost, timeout=deadline_s)
            return self.exits.get(pid)

    def close(self) -> bool:
        """Let the warden end everything and wait for it; False when it had to be left to itself."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(FAREWELL_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        finally:
            self._reader.join(ANSWER_S)
            self._socket.close()
        return True

    def _ask(self, **request: object) -> dict[str, Any]:
        pending = Pending()
        with self._lock:
            self._next += 1
            number = self._next
            self._pending[number] = pending
            try:
                self._socket.sendall(json.dumps({"id": number, **request}).encode() + b"\n")
            except OSError as error:
                self._pending.pop(number, None)
                raise WardenLost("the fleet's warden process is gone") from error
        if not pending.done.wait(ANSWER_S) or not pending.answer:
            raise WardenLost("the fleet's warden process does not answer")
        if "error" in pending.answer:
            raise NodeFailed(str(pending.answer["error"]))
        return pending.answer

    def _read(self) -> None:
        with contextlib.suppress(OSError), self._socket.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                if message.get("event") == "exit":
                    with self._ended:
                        self.exits[message["pid"]] = message["status"]
                        self._ended.notify_all()
                elif pending := self._pending.pop(message["id"], None):
                    pending.answer = message
                    pending.done.set()
        with self._ended:
            self.lost = True
            self._ended.notify_all()
        for pending in list(self._pending.values()):
            pending.done.set()
