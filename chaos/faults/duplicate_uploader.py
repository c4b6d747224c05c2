"""Duplicate uploader: a second process drains the same till's journal, as after a service installed twice."""

from __future__ import annotations

from contextlib import suppress

import psutil

from chaos.errors import ChaosError
from chaos.faults.base import Bite, Context, Fault, Healed, together
from chaos.fleet.processes import family


class DuplicateUploader(Fault):
    """Starts the second uploader that the plan names for each till, and ends it."""

    kind = "duplicate_uploader"
    aim = "till"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.met: dict[str, int] = {}

    def obstacle(self, context: Context) -> str | None:
        """The system must have such a process, and the plan must name it."""
        missing = [till for till in self.targets if till not in context.system.duplicates]
        return f"no second uploader is planned for {', '.join(missing)}" if missing else None

    def inject(self, context: Context) -> None:
        """Start all of them."""
        for till in self.targets:
            context.fleet.start(context.system.duplicates[till])

    def observe(self, context: Context) -> None:
        """Count the looks at which a duplicate was connected to a server, directly or by a link."""
        for till in self.targets:
            node = context.system.duplicates[till]
            ports = server_ports(context)
            pid = context.fleet.pid(node)
            if pid is not None and ports & connected_to(pid):
                self.met[till] = self.met.get(till, 0) + 1

    def lift(self, context: Context) -> None:
        """Look once more, if that can be done, and end all of them."""
        with suppress(ChaosError):
            self.observe(context)
        errors = []
        for till in self.targets:
            try:
                context.fleet.stop(context.system.duplicates[till])
            except ChaosError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def verify(self, context: Context) -> Healed:
        """None of them runs."""
        left = [
            node
            for node in (context.system.duplicates[till] for till in self.targets)
            if context.fleet.state(node) not in {"stopped", "ended", "new"}
        ]
        if left:
            return Healed(ok=False, text=f"still there: {', '.join(left)}")
        return Healed(ok=True, text="the second uploaders are gone")

    def evidence(self, context: Context) -> Bite:
        """Each duplicate was seen connected to a server while the till itself ran."""
        return together(
            Bite(
                bit=self.met.get(till, 0) > 0,
                text=f"{till}: its second uploader was connected to a server at {self.met.get(till, 0)} looks",
            )
            for till in self.targets
        )


def server_ports(context: Context) -> set[int]:
    """Return the ports of all servers and links."""
    ports: set[int] = set()
    for link in context.fleet.links():
        state = link.state()
        ports.update(int(address.rpartition(":")[2]) for address in (state.listen, state.upstream))
    return ports


def connected_to(pid: int) -> set[int]:
    """Return the remote ports that a process and its descendants are connected to."""
    found: set[int] = set()
    for process in family(pid):
        try:
            connections = process.net_connections(kind="tcp")
        except psutil.Error:
            continue
        found.update(one.raddr.port for one in connections if one.raddr and one.status == psutil.CONN_ESTABLISHED)
    return found
