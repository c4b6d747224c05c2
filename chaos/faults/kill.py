"""Kill: a process dies at once with kill -9, whatever it was doing, and is started again at the end.

The page cache survives it, so it says nothing about what a power cut would leave.
"""

from __future__ import annotations

import signal

from chaos.faults.base import Bite, Context, together
from chaos.faults.onnode import DownFault


class Kill(DownFault):
    """Kills nodes with all their processes."""

    kind = "kill"

    def take_down(self, context: Context, node: str) -> int | None:
        """Send SIGKILL."""
        return context.fleet.kill(node)

    def evidence(self, context: Context) -> Bite:
        """Each target was up, died of the signal, did not answer, and lives on under another process id."""
        return together(self._of(context, node) for node in self.targets)

    def _of(self, context: Context, node: str) -> Bite:
        was, now = self.was.get(node), context.fleet.pid(node)
        if was is None:
            return Bite(bit=False, text=f"{node} was not running")
        if self.status.get(node) != -signal.SIGKILL:
            return Bite(bit=False, text=f"{node} ended with {self.status.get(node)}, not by the signal")
        if self.answered.get(node, True):
            return Bite(bit=False, text=f"{node} still answered after it was killed")
        return Bite(bit=True, text=f"{node}: process {was} killed, runs as {now}")
