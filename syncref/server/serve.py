"""Running an application in several forked worker processes on one port, until SIGTERM.

The parent only waits: it holds no thread, no database connection and no request. A worker that dies is
replaced; workers never outlive the parent.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from litestar import Litestar

from syncref.config import Address
from syncref.errors import ConfigInvalid, StorageFailed
from syncref.listening import Listening, configured
from syncref.logs import configure, event
from syncref.tls import ServerTls

BACKLOG = 512
GRACE_S = 8
QUICK_S = 3.0
FAILURES_MAX = 5
_PR_SET_PDEATHSIG = 1
_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
_log = logging.getLogger("syncref.serve")


class _Server(Listening):
    """Takes signals once it can act on them, and lets requests that wait for news go before it stops."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Let signals through: uvicorn's handlers are in place now."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what is there now stays; only what requests leave behind is looked through

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell the application that it leaves, then shut down as usual."""
        leave: Callable[[], None] | None = getattr(self.config.app.state, "leave", None)  # type: ignore[union-attr]
        if leave is not None:
            leave()
        await super().shutdown(sockets)


def bind(address: Address) -> socket.socket:
    """Return a socket that holds the address and refuses callers until `serve` listens.

    Raises ConfigInvalid when the address can't be had.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address.host, address.port))
    except OSError as error:
        listener.close()
        raise ConfigInvalid(f"listen = {str(address)!r}: {error.strerror or error}") from error
    # connections inherit it: an answer is two writes, and waiting for an ACK between them costs 40 ms
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.set_inheritable(True)
    return listener


def serve(
    make: Callable[[], Litestar], listener: socket.socket, *, workers: int, tls: ServerTls | None = None
) -> None:
    """Run `workers` processes until SIGTERM or SIGINT; return once they have ended.

    They share the TLS context as it was before they began, and so each resumes the others' sessions.
    Raises ConfigInvalid when somebody else listens on the address, StorageFailed when the workers can't live.
    """
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        raise ConfigInvalid(f"listen = {listener.getsockname()[:2]}: {error.strerror or error}") from error
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    running = {_fork(make, listener, tls): time.monotonic() for _ in range(workers)}
    stopping = False
    deadline = 0.0
    failures = 0
    while running:
        wait_s = max(0.0, deadline - time.monotonic()) if stopping else 3600.0
        found = signal.sigtimedwait(_SIGNALS, wait_s)
        if found is None and stopping:
            _tell(running, signal.SIGKILL)
            deadline = time.monotonic() + 5
        elif found is not None and found.si_signo in {signal.SIGTERM, signal.SIGINT} and not stopping:
            stopping, deadline = True, time.monotonic() + GRACE_S + 2
            event(_log, logging.INFO, "stopping", workers=len(running))
            _tell(running, signal.SIGTERM)
        for pid, status in _ended(running):
            started = running.pop(pid)
            if stopping:
                continue
            event(_log, logging.ERROR, "worker_died", pid=pid, status=status)
            failures = failures + 1 if time.monotonic() - started < QUICK_S else 0
            if failures >= FAILURES_MAX:
                _tell(running, signal.SIGKILL)
                raise StorageFailed("the workers die as soon as they start; the log says why")
            if failures:
                time.sleep(0.5)
            running[_fork(make, listener, tls)] = time.monotonic()
    listener.close()


def _ended(running: dict[int, float]) -> list[tuple[int, int]]:
    ended = []
    for pid in running:
        with suppress(ChildProcessError):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                ended.append((pid, os.waitstatus_to_exitcode(status)))
    return ended


def _tell(running: dict[int, float], number: signal.Signals) -> None:
    for pid in running:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _fork(make: Callable[[], Litestar], listener: socket.socket, tls: ServerTls | None) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _die_with(parent)
        _work(make, listener, tls)
        status = 0
    except BaseException:  # noqa: BLE001 - nothing of the parent's stack may run in the child
        configure()
        _log.exception("worker_failed")
    finally:
        sys.stderr.flush()
        os._exit(status)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _work(make: Callable[[], Litestar], listener: socket.socket, tls: ServerTls | None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _ignored)  # uvicorn raises the signal again after it has stopped
    config = configured(
        make(), server_header=False, lifespan="on", timeout_keep_alive=75, timeout_graceful_shutdown=GRACE_S
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    _Server(config, tls).run(sockets=[listener])


def _ignored(_number: int, _frame: Any) -> None:
    pass
