"""Unplug: the cable is pulled at the till. Its interface is gone: no reset, no refusal, no name service.

Only containers have a network to be taken off; `cut` and `black_hole` do what can be done at the link's other end.
"""

from __future__ import annotations

from chaos.errors import ChaosError
from chaos.faults.abilities import Unplugs
from chaos.faults.base import Bite, Context, Fault, Healed, together
from chaos.faults.flow import Reading, readings, starved

SETTLE_S = 0.3


class Unplug(Fault):
    """Takes tills off the servers' network and puts them back; their cashiers still reach them."""

    kind = "unplug"
    aim = "link"
    containers_only = True

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.before: dict[str, Reading] = {}
        self.after: dict[str, Reading] = {}
        self.off_at_end: dict[str, bool] = {}

    def obstacle(self, context: Context) -> str | None:
        """The fleet must be able to."""
        if not isinstance(context.fleet, Unplugs):
            return "only containers can be taken off their network: use --fleet docker"
        missing = [target for target in self.targets if target not in context.fleet.names()]
        return f"there is no node {', '.join(missing)}" if missing else None

    def inject(self, context: Context) -> None:
        """Pull all cables, let what was under way land, and take the first reading."""
        for till in self.targets:
            unplugging(context).unplug(till)
        context.sleep(SETTLE_S)
        self.before = readings(context, self.targets)

    def lift(self, context: Context) -> None:
        """Take the last reading and plug in."""
        fleet = unplugging(context)
        if not self.after:
            self.off_at_end = {till: not fleet.plugged(till) for till in self.targets}
            self.after = readings(context, self.targets)
        errors = []
        for till in self.targets:
            try:
                if not fleet.plugged(till):
                    fleet.plug(till)
            except ChaosError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def give_up(self, context: Context) -> tuple[str, ...]:
        """Nobody but the engine can plug the tills in."""
        return self.targets

    def verify(self, context: Context) -> Healed:
        """The engine has every till on the network."""
        off = [till for till in self.targets if not unplugging(context).plugged(till)]
        if off:
            return Healed(ok=False, text=f"{', '.join(off)} not on the network")
        return Healed(ok=True, text=f"{', '.join(self.targets)} on the network, as the engine reads back")

    def evidence(self, context: Context) -> Bite:
        """Each till was off the network to the end, and its entries piled up."""
        on = [till for till in self.targets if not self.off_at_end.get(till, False)]
        if on:
            return Bite(bit=False, text=f"{', '.join(on)}: was on the network before the end")
        return together(starved(till, self.before.get(till), self.after.get(till)) for till in self.targets)


def unplugging(context: Context) -> Unplugs:
    """Return the fleet; obstacle() has seen that it can."""
    assert isinstance(context.fleet, Unplugs)
    return context.fleet
