"""Restart: a process is asked to end, as for an update, and is started again at the end."""

from __future__ import annotations

from chaos.faults.base import Bite, Context, together
from chaos.faults.onnode import DownFault


class Restart(DownFault):
    """Ends nodes gracefully; a node that has to be killed after its deadline is told in the evidence."""

    kind = "restart"

    def take_down(self, context: Context, node: str) -> int | None:
        """Ask for a graceful end."""
        return context.fleet.stop(node)

    def evidence(self, context: Context) -> Bite:
        """Each target was up, ended, did not answer, and lives on under another process id."""
        return together(self._of(context, node) for node in self.targets)

    def _of(self, context: Context, node: str) -> Bite:
        was, now, status = self.was.get(node), context.fleet.pid(node), self.status.get(node)
        if was is None:
            return Bite(bit=False, text=f"{node} was not running")
        if self.answered.get(node, True):
            return Bite(bit=False, text=f"{node} still answered after it ended")
        return Bite(bit=True, text=f"{node}: process {was} ended with {status}, runs as {now}")
