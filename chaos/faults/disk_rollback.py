"""Disk rollback: a till's database goes back to an earlier copy, as after a bad restore of its disk.

The copy is made at the beginning; at the end the till is stopped, gets the copy for its disk, and is started.
"""

from __future__ import annotations

from chaos.errors import ChaosError
from chaos.faults.base import Bite, Context, Healed, planned_disks, together
from chaos.faults.disks import Gone
from chaos.faults.onnode import NodeFault, start_again


class DiskRollback(NodeFault):
    """Takes back what tills wrote between its beginning and its end."""

    kind = "disk_rollback"
    aim = "till"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.kept: dict[str, int] = {}
        self.gone: dict[str, Gone] = {}
        self.head_after: dict[str, int | None] = {}

    def obstacle(self, context: Context) -> str | None:
        """The plan must say how a till's disk is copied."""
        if context.system.disks is None:
            return "no way to copy a till's disk is planned for this system"
        return super().obstacle(context)

    def inject(self, context: Context) -> None:
        """Copy all disks; the tills go on."""
        for till in self.targets:
            self.kept[till] = planned_disks(context).keep(till)

    def lift(self, context: Context) -> None:
        """Stop each till, put its copy back, start it; the first error is raised after all were tried."""
        errors = []
        for till in self.kept:
            try:
                if till not in self.gone:
                    context.fleet.stop(till)
                    self.gone[till] = planned_disks(context).put_back(till)
                if context.fleet.state(till) in {"stopped", "ended"}:
                    context.fleet.start(till)
                    self.head_after.setdefault(till, context.witness.till_head(till))
            except ChaosError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def give_up(self, context: Context) -> tuple[str, ...]:
        """Start tills whose disks are as they left them, and tell those whose disks are not."""
        stuck = [till for till in self.kept if till not in self.gone]
        behind = [till for till in stuck if planned_disks(context).half_done(till)]
        start_again(context, [till for till in stuck if till not in behind])
        return tuple(behind)

    def verify(self, context: Context) -> Healed:
        """Each till runs on the copy."""
        stuck = [till for till in self.kept if till not in self.gone]
        if stuck:
            return Healed(ok=False, text=f"the disk of {', '.join(stuck)} was not put back")
        return super().verify(context)

    def evidence(self, context: Context) -> Bite:
        """Each disk lost entries that were on it, and its till went on from the copy."""
        return together(self._of(till) for till in self.targets)

    def _of(self, till: str) -> Bite:
        gone, after = self.gone.get(till), self.head_after.get(till)
        if gone is None or after is None:
            return Bite(bit=None, text=f"{till}: what its disk lost could not be read")
        if not gone.entries:
            return Bite(bit=False, text=f"{till}: wrote nothing since the copy of entry {gone.kept}")
        text = (
            f"{till}: back from entry {gone.head} to {gone.kept}; {gone.arrived} of what is gone had reached the "
            f"server, {gone.missing} are lost; starts again at {after}"
        )
        return Bite(bit=after < gone.head, text=text)
