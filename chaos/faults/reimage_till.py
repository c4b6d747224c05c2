"""Re-image: a till's disk is lost while it holds unsynced sales; at the end it is set up anew and opens its day.

What was unsynced is a declared loss: exactly that may be missing.
"""

from __future__ import annotations

from chaos.errors import ChaosError
from chaos.faults.base import Bite, Context, planned_disks, together
from chaos.faults.disks import Gone
from chaos.faults.onnode import DownFault, start_again


class ReimageTill(DownFault):
    """Takes tills down, loses their disks, and provisions them anew."""

    kind = "reimage_till"
    aim = "till"

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.gone: dict[str, Gone] = {}
        self.provisioned: set[str] = set()
        self.opened: set[str] = set()

    def obstacle(self, context: Context) -> str | None:
        """The plan must say how a till is set up."""
        if context.system.disks is None:
            return "no way to set a till up is planned for this system"
        return super().obstacle(context)

    def take_down(self, context: Context, node: str) -> int | None:
        """End the till; its disk is lost."""
        status = context.fleet.stop(node)
        self.gone[node] = planned_disks(context).wipe(node)
        return status

    def lift(self, context: Context) -> None:
        """Set each till up whose disk is lost; start those that were only stopped.

        The first error is raised after all were tried.
        """
        errors = []
        for till in self.targets:
            try:
                if till not in self.gone and planned_disks(context).half_done(till):
                    self.gone[till] = planned_disks(context).wipe(till)
                if till in self.gone:
                    self._set_up(context, till)
                else:
                    start_again(context, (till,))
            except ChaosError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def give_up(self, context: Context) -> tuple[str, ...]:
        """Tell the tills whose disks are empty, or not even that."""
        disks = planned_disks(context)
        return tuple(
            till
            for till in self.targets
            if (till in self.gone and till not in self.provisioned) or disks.half_done(till)
        )

    def _set_up(self, context: Context, till: str) -> None:
        disks = planned_disks(context)
        if till not in self.provisioned:
            disks.provision(till)
            self.provisioned.add(till)
        if context.fleet.state(till) in {"stopped", "ended"}:
            context.fleet.start(till)
        if till not in self.opened:
            disks.reopen(till)
            self.opened.add(till)

    def evidence(self, context: Context) -> Bite:
        """Each till was up, its disk was lost with sales that no server had, and it runs as a new one."""
        return together(self._of(context, till) for till in self.targets)

    def _of(self, context: Context, till: str) -> Bite:
        gone, was = self.gone.get(till), self.was.get(till)
        if was is None or self.answered.get(till, True):
            return Bite(bit=False, text=f"{till} was not running, or still answered")
        if gone is None or till not in self.opened:
            return Bite(bit=None, text=f"{till}: its disk is not known to be lost and set up anew")
        text = (
            f"{till}: disk lost with {gone.head} entries, of which {gone.arrived} had reached the server and "
            f"{gone.missing} are lost; process {was}, set up anew, runs as {context.fleet.pid(till)}"
        )
        return Bite(bit=gone.missing > 0, text=text)
