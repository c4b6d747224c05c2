"""What faults on links share: finding the links, healing them, and reading the heal back."""

from __future__ import annotations

from typing import ClassVar

from chaos.errors import ChaosError, FaultFailed
from chaos.faults.base import Aim, Bite, Context, Fault, Healed, together
from chaos.faults.flow import Reading, readings, starved
from chaos.fleet.links import Link

SETTLE_S = 0.3


class LinkFault(Fault):
    """A fault on the links of its targets: "T01" means all of T01's links, "T01/server" that one."""

    aim: ClassVar[Aim] = "link"

    def links(self, context: Context) -> list[Link]:
        """Return the links aimed at; raise FaultFailed for a target without one."""
        found: list[Link] = []
        for target in self.targets:
            till, _, server = target.partition("/")
            links = [link for link in context.fleet.links(till) if server in ("", link.server)]
            if not links:
                raise FaultFailed(f"fault {self.kind}: there is no link {target}")
            found += links
        return found

    def tills(self) -> tuple[str, ...]:
        """Return the tills aimed at."""
        return tuple(dict.fromkeys(target.partition("/")[0] for target in self.targets))

    def lift(self, context: Context) -> None:
        """Heal all links; the first error is raised after every link was tried."""
        errors = []
        for link in self.links(context):
            try:
                link.heal()
            except ChaosError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def give_up(self, context: Context) -> tuple[str, ...]:
        """Nobody but the proxy server can open the links."""
        return () if self.verify(context).ok else self.targets

    def verify(self, context: Context) -> Healed:
        """Ask the proxy server for each link, and send a request through it."""
        faulty = []
        for link in self.links(context):
            try:
                state = link.state()
            except ChaosError as error:
                faulty.append(f"{link.name}: {error}")
                continue
            if not state.enabled or state.toxics:
                faulty.append(f"{link.name}: {state}")
        if faulty:
            return Healed(ok=False, text="; ".join(faulty))
        names = ", ".join(link.name for link in self.links(context))
        return Healed(ok=True, text=f"{names} open without toxics, as the proxy reads back")


class StarvingFault(LinkFault):
    """A link fault that is to keep the tills' entries from the server as long as it lasts."""

    outcome: str
    """What a request through the link must come to while the fault is on."""

    probe_timeout_s = 1.0

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.before: dict[str, Reading] = {}
        self.after: dict[str, Reading] = {}
        self.outcomes: dict[str, str] = {}

    def impose(self, link: Link) -> None:
        """Put the fault on one link."""
        raise NotImplementedError

    def inject(self, context: Context) -> None:
        """Impose the fault on every link, let what was under way land, and take the first reading."""
        for link in self.links(context):
            self.impose(link)
        context.sleep(SETTLE_S)
        self.before = readings(context, self.tills())

    def lift(self, context: Context) -> None:
        """Take the last reading and heal."""
        if not self.after:
            for link in self.links(context):
                self.outcomes[link.name] = link.probe(timeout_s=self.probe_timeout_s).outcome
            self.after = readings(context, self.tills())
        super().lift(context)

    def evidence(self, context: Context) -> Bite:
        """A request through each link failed as it had to, and each till's entries piled up."""
        wrong = [f"{name}: a request was {got}" for name, got in self.outcomes.items() if got != self.outcome]
        if wrong:
            return Bite(bit=False, text="; ".join(wrong))
        return together(starved(till, self.before.get(till), self.after.get(till)) for till in self.tills())
