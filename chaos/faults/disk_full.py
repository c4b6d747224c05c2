"""Disk full: a till's disk, one of its own, has no room left. The till must refuse sales clearly and lose none."""

from __future__ import annotations

import os

from chaos.errors import ChaosError
from chaos.faults.base import Bite, Context, Fault, Healed, together
from chaos.fleet.smalldisk import empty, fill, free_bytes

REFUSAL = "disk_full"


class DiskFull(Fault):
    """Fills the disks of tills with ballast; again at every look, for a till may free room itself."""

    kind = "disk_full"
    aim = "till"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.filled: dict[str, int] = {}
        self.refused_before: dict[str, int | None] = {}
        self.refused_after: dict[str, int | None] = {}
        self.full_at_end: dict[str, bool] = {}

    def obstacle(self, context: Context) -> str | None:
        """Each till's folder must have been put on a disk of its own at staging."""
        shared = [till for till in self.targets if not os.path.ismount(context.fleet.dir(till))]
        if not shared:
            return None
        return f"{', '.join(shared)}: no disk of its own (the fleet needs root to give it one)"

    def inject(self, context: Context) -> None:
        """Fill all disks."""
        for till in self.targets:
            self.refused_before[till] = context.witness.refusals(till, REFUSAL)
            self.filled[till] = fill(context.fleet.dir(till))

    def observe(self, context: Context) -> None:
        """Top up."""
        for till in self.targets:
            self.filled[till] += fill_up(context, till)

    def lift(self, context: Context) -> None:
        """Note what was refused, and take the ballast away."""
        for till in self.targets:
            folder = context.fleet.dir(till)
            self.full_at_end.setdefault(till, free_bytes(folder) == 0)
            self.refused_after.setdefault(till, context.witness.refusals(till, REFUSAL))
            empty(folder)

    def verify(self, context: Context) -> Healed:
        """Every disk has room again."""
        full = [till for till in self.targets if free_bytes(context.fleet.dir(till)) == 0]
        if full:
            return Healed(ok=False, text=f"no room on the disk of {', '.join(full)}")
        return Healed(ok=True, text="all disks have room")

    def evidence(self, context: Context) -> Bite:
        """Each disk was full to the end, and its till refused cashiers for that reason."""
        return together(self._of(till) for till in self.targets)

    def _of(self, till: str) -> Bite:
        before, after = self.refused_before.get(till), self.refused_after.get(till)
        if not self.full_at_end.get(till, False):
            return Bite(bit=False, text=f"{till}: its disk was not full at the end")
        if before is None or after is None:
            return Bite(bit=None, text=f"{till}: disk full, but refusals were not counted")
        text = f"{till}: {self.filled[till]} bytes of ballast left no room; {after - before} operations refused"
        return Bite(bit=after > before, text=text)


def fill_up(context: Context, till: str) -> int:
    """Fill again if room has appeared; the till may write at the same moment, which is as good."""
    folder = context.fleet.dir(till)
    try:
        return fill(folder, more=True) if free_bytes(folder) else 0
    except ChaosError:
        return 0
