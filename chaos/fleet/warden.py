"""The process that starts every node of a fleet and outlives the lab just long enough to end them.

Keeps: nothing that a lab started survives it. The warden is the parent of all nodes and the adopter of their
orphans; each node dies with the warden's only thread (PR_SET_PDEATHSIG), and the warden kills everything as soon
as the lab's end of the socket closes, however the lab ended. Its own session keeps Ctrl-C away from it.

    python -m chaos.fleet.warden --fd N --folder WORKING_FOLDER

Speaks one JSON object per line: requests {id, op, ...}, answers {id, ...} or {id, error}, events {event: "exit"}.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import pwd
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from chaos.fleet.processes import kill_family, signal_family
from chaos.fleet.rundir import clean

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
RESTORED = ("SIGPIPE", "SIGXFSZ", "SIGINT", "SIGHUP", "SIGTERM", "SIGCHLD")
KILL, STOP = int(signal.SIGKILL), int(signal.SIGSTOP)


def process_control() -> Callable[[int, int], int] | None:
    """Return prctl, or None where the kernel has none."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    return lambda option, value: int(libc.prctl(option, value, 0, 0, 0))


class Warden:
    """Serves one lab until its socket closes."""

    def __init__(self, lab: socket.socket, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.prctl = process_control()
        self.children: set[int] = set()
        self.buffer = b""
        self.over = False

    def serve(self) -> None:
        """Answer requests and report ended children until the lab is gone."""
        if self.prctl is not None:
            self.prctl(PR_SET_CHILD_SUBREAPER, 1)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        os.set_blocking(wake_read, False)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "over", True))
        for ignored in (signal.SIGINT, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)
        with selectors.DefaultSelector() as selector:
            selector.register(self.lab, selectors.EVENT_READ)
            selector.register(wake_read, selectors.EVENT_READ)
            while not self.over:
                for key, _ in selector.select():
                    if key.fileobj is self.lab:
                        self.receive()
                    else:
                        with contextlib.suppress(BlockingIOError):
                            os.read(wake_read, 4096)
                self.reap()

    def receive(self) -> None:
        """Take in what the lab wrote; an empty read means that it is gone."""
        try:
            data = self.lab.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.over = True
            return
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            try:
                answer = self.obey(request)
            except OSError as error:
                answer = {"error": f"{error.strerror or error}: {error.filename or request.get('argv', [''])[0]}"}
            self.send({"id": request["id"], **answer})

    def obey(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out one request."""
        match request["op"]:
            case "spawn":
                return {"pid": self.spawn(request)}
            case "signal" if request["pid"] in self.children:
                number = request["signal"]
                if not request["family"]:
                    os.kill(request["pid"], number)
                    return {"pids": [request["pid"]]}
                reached = kill_family(request["pid"]) if number == KILL else signal_family(request["pid"], number)
                return {"pids": reached}
            case "signal":
                return {"pids": []}
            case other:
                return {"error": f"unknown request {other!r}"}

    def spawn(self, request: Mapping[str, Any]) -> int:
        """Fork and become a node; raise OSError with the child's error if it could not be executed."""
        told_read, told_write = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(told_read)
            self.become(request, parent, told_write)
        os.close(told_write)
        self.children.add(pid)
        with os.fdopen(told_read, "rb") as told:
            failure = told.read()
        if failure:
            number, _, what = failure.decode().partition(" ")
            os.waitpid(pid, 0)
            self.children.discard(pid)
            raise OSError(int(number), os.strerror(int(number)), what)
        return pid

    def become(self, request: Mapping[str, Any], parent: int, told: int) -> NoReturn:
        """In the child: join groups, give up rights, tie the life to the warden's, and execute."""
        where = request["argv"][0]
        try:
            os.setsid()
            for name in RESTORED:
                signal.signal(getattr(signal, name), signal.SIG_DFL)
            signal.set_wakeup_fd(-1)
            for procs in request["procs"]:
                where = procs
                Path(procs).write_text(str(os.getpid()))
            where = request["log"]
            log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            if request["account"]:
                where = request["account"]
                entry = pwd.getpwnam(request["account"])
                os.setgroups([])
                os.setgid(entry.pw_gid)
                os.setuid(entry.pw_uid)
            where = request["cwd"]
            os.chdir(request["cwd"])
            if self.prctl is not None:  # after setuid, which clears it
                self.prctl(PR_SET_PDEATHSIG, KILL)
                if os.getppid() != parent:
                    os._exit(1)
            where = request["argv"][0]
            os.execvpe(request["argv"][0], request["argv"], request["env"])  # noqa: S606 - an argument list
        except KeyError:
            os.write(told, f"2 no account {where}".encode())
        except OSError as error:
            os.write(told, f"{error.errno or 5} {where}".encode())
        os._exit(127)

    def reap(self) -> None:
        """Collect ended children, adopted ones too, and report our own."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.children:
                self.children.discard(pid)
                self.send({"event": "exit", "pid": pid, "status": os.waitstatus_to_exitcode(status)})

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one line to the lab; a lab that no longer reads is gone."""
        try:
            self.lab.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self.over = True

    def end(self) -> None:
        """Kill every descendant, then whatever carries the run's marks, then its groups, mounts and folder."""
        self.lab.close()
        for _ in range(100):
            pids = kill_family(os.getpid(), with_head=False)
            self.reap_quietly()
            if not pids:
                break
        clean(self.folder)

    def reap_quietly(self) -> None:
        """Wait for all children that were killed."""
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)


def main() -> None:
    """Run until the lab is gone, then clean up."""
    parser = argparse.ArgumentParser(description="Start and guard the nodes of one fleet.")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    warden = Warden(socket.socket(fileno=options.fd), options.folder)
    try:
        warden.serve()
    finally:
        warden.end()


if __name__ == "__main__":
    main()
