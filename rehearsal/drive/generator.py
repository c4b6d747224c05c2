"""The load generator's processes: Locust alone, or a master with workers here and elsewhere.

Keeps: a worker that was asked for and did not come, or broke, is never taken for one that had nothing to do.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from chaos.errors import CannotRun, ChaosError
from chaos.fleet.base import Fleet
from chaos.fleet.plan import NodePlan
from chaos.fleet.process import python_path, source_path
from rehearsal.options import LocustWorkers

LOAD = "load"
STOP_S = 30.0
EVERYWHERE = ("*", "0.0.0.0")  # noqa: S104 - told apart, not bound to


class Ended(Protocol):
    """What the selling notes of its end."""

    interrupted: bool
    trouble: list[str]


def check_bind(workers: LocustWorkers) -> None:
    """Refuse an address at which no master of this machine can listen. Raises CannotRun."""
    if workers.count:
        try:
            _free_port(workers.bind)
        except OSError as error:
            raise CannotRun(f"--locust-bind {workers.bind}: {error}") from error


def start_load(fleet: Fleet, plan: bytes, workers: LocustWorkers, *, say: Callable[[str], None]) -> None:
    """Start the generator on a plan."""
    file = fleet.dir(LOAD) / "load.json"
    file.write_bytes(plan)
    file.chmod(0o600)
    if not workers.count:
        _stage(fleet, LOAD, file, ("--headless",))
        return
    port = str(_free_port(workers.bind))
    patience = str(int(workers.join_s) + 10)
    _stage(
        fleet, LOAD, file,
        ("--headless", "--master", "--master-bind-host", workers.bind, "--master-bind-port", port,
         "--expect-workers", str(workers.count), "--expect-workers-max-wait", patience),
    )  # fmt: skip
    for name in names(workers):
        _stage(fleet, name, file, ("--worker", "--master-host", _reached(workers.bind), "--master-port", port))
    if workers.remote:
        host = _named(workers.bind)
        say(
            f"waiting {workers.join_s:.0f} s for {workers.remote} workers of other machines: locust -f "
            f"loadtest/locustfile.py --worker --master-host {host} --master-port {port} --catalogue FOLDER"
        )


def names(workers: LocustWorkers) -> tuple[str, ...]:
    """Return the nodes of the workers that are started here."""
    return tuple(f"{LOAD}-{number}" for number in range(1, workers.here + 1))


def load_failed(fleet: Fleet) -> bool:
    """Say whether the generator has ended by itself, and not well."""
    return any(ending.node == LOAD and ending.status != 0 for ending in fleet.unasked_endings())


def end_load(fleet: Fleet, workers: LocustWorkers, sold: Ended) -> int | None:
    """Return the generator's exit code, a worker's if only that failed; what still runs is stopped."""
    codes = [_ended(fleet, name, sold) for name in (LOAD, *names(workers))]
    return next((code for code in codes if code), codes[0])


def _stage(fleet: Fleet, name: str, plan: Path, options: tuple[str, ...]) -> None:
    locustfile = Path(source_path()) / "loadtest" / "locustfile.py"
    fleet.stage(
        NodePlan(
            name=name,
            argv=(sys.executable, "-m", "locust", "-f", str(locustfile), *options),
            env={"TILLPROOF_LOAD": str(plan), "PYTHONPATH": python_path()},
            stop_deadline_s=STOP_S,
            beside=True,
        )
    )


def _ended(fleet: Fleet, name: str, sold: Ended) -> int | None:
    if name not in fleet.names():
        return None
    try:
        status = fleet.stop(name)
        if status is not None:
            return None if sold.interrupted else status
        return next((one.status for one in reversed(fleet.unasked_endings()) if one.node == name), None)
    except ChaosError as error:
        sold.trouble.append(f"the load generator ({name}) could not be stopped: {error}")
        return None


def _free_port(bind: str) -> int:
    with socket.create_server(("" if bind == "*" else bind, 0)) as listener:
        return int(listener.getsockname()[1])


def _reached(bind: str) -> str:
    return "127.0.0.1" if bind in EVERYWHERE else bind


def _named(bind: str) -> str:
    """Return what workers elsewhere are told: an address to listen on everywhere leads nowhere."""
    return "ADDRESS_OF_THIS_MACHINE" if bind in EVERYWHERE else bind
