"""Power cut: a process dies at once, and whatever it had not synced to disk is gone with the page cache.

A kill alone says nothing about that, for the page cache survives it. What a process wrote since its last sync is
followed by a library loaded into it (chaos/power), and taken back from its files before it is started again. The
cut waits for a moment at which the process has just written something and not synced it.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass

from chaos.errors import FaultFailed
from chaos.faults.base import Bite, Context, together
from chaos.faults.onnode import DownFault, start_again
from chaos.faults.parameters import whole
from chaos.power.restore import Dropped, cut, is_loaded, unsynced

MOMENTS = 60
PAUSE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCutParameters:
    """How much of what was not synced reaches the disk all the same."""

    survive_percent: int = whole(
        0, unit="%", least=0, most=100, text="of the unsynced 512-byte sectors survive: torn writes"
    )


class PowerCut(DownFault):
    """Kills nodes and takes back what they had not synced."""

    kind = "power_cut"
    parameters = PowerCutParameters

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.dropped: dict[str, Dropped] = {}
        self.in_a_write: dict[str, bool] = {}
        self.killed: set[str] = set()

    def obstacle(self, context: Context) -> str | None:
        """The targets' writes must have been followed since they were started."""
        missing = super().obstacle(context)
        if missing:
            return missing
        logs = context.system.disk_logs
        blind = [target for target in self.targets if target not in logs or not is_loaded(logs[target])]
        if blind:
            return f"what {', '.join(blind)} writes is not followed (it needs Linux and a C compiler at staging)"
        return None

    def take_down(self, context: Context, node: str) -> int | None:
        """Wait for a fresh unsynced write, kill, and take back what was not synced."""
        log = context.system.disk_logs[node]
        before = len(unsynced(log))
        for _ in range(MOMENTS):
            context.fleet.pause(node)
            left = len(unsynced(log))
            self.in_a_write[node] = left > before
            if left > before:
                break
            before = min(before, left)
            context.fleet.resume(node)
            context.sleep(PAUSE_S)
        status = context.fleet.kill(node)
        self.killed.add(node)
        seed = sum(map(ord, node)) + len(self.dropped)
        self.dropped[node] = cut(context.fleet.dir(node), log, seed=seed, survive_percent=self.p.survive_percent)
        return status

    def lift(self, context: Context) -> None:
        """Start the targets but those whose files are in between two states."""
        half = self._half()
        for node in self.targets:
            if context.fleet.state(node) == "paused":
                context.fleet.resume(node)
        start_again(context, [node for node in self.targets if node not in half])
        if half:
            raise FaultFailed(f"what {', '.join(half)} had not synced was not taken back")

    def give_up(self, context: Context) -> tuple[str, ...]:
        """Tell the targets whose files are in between."""
        return self._half()

    def _half(self) -> tuple[str, ...]:
        return tuple(node for node in self.targets if node in self.killed and node not in self.dropped)

    def evidence(self, context: Context) -> Bite:
        """Each target was up and writing, died of the signal, lost bytes, and runs under another process id."""
        return together(self._of(context, node) for node in self.targets)

    def _of(self, context: Context, node: str) -> Bite:
        was, lost = self.was.get(node), self.dropped.get(node)
        if was is None or lost is None:
            return Bite(bit=False, text=f"{node} was not running")
        if self.status.get(node) != -signal.SIGKILL or self.answered.get(node, True):
            return Bite(bit=False, text=f"{node} did not die of the cut (status {self.status.get(node)})")
        if lost.unclear:
            return Bite(bit=None, text=f"{node}: writes that can't be followed: {', '.join(lost.unclear[:3])}")
        if not self.in_a_write.get(node, False):
            return Bite(bit=False, text=f"{node} wrote nothing at the time of the cut")
        where = ", ".join(lost.files[:4]) + (f" and {len(lost.files) - 4} more files" * (len(lost.files) > 4))
        text = (
            f"{node}: process {was} lost {lost.bytes} unsynced bytes in {where}"
            f" ({lost.torn_sectors} sectors survived, {lost.names} names undone),"
            f" runs as {context.fleet.pid(node)}"
        )
        return Bite(bit=lost.anything, text=text)
