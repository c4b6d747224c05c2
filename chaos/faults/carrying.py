"""What faults share that leave a link working, but worse: they bit only if the till really used it meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.errors import ChaosError
from chaos.faults.base import Bite, Context, together
from chaos.faults.onlink import SETTLE_S, LinkFault
from chaos.fleet.links import Link, Probe
from chaos.proxy.client import Toxic, holds


class CarryingFault(LinkFault):
    """A link fault under which bytes still flow. Connections are dropped at its beginning and end, for some proxy
    servers count a connection's bytes when it closes."""

    probe_timeout_s = 10.0

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.probes: dict[str, Probe] = {}
        self.begun: dict[str, dict[str, int] | None] = {}
        self.ended: dict[str, dict[str, int] | None] = {}
        self.lasting: dict[str, bool | None] = {}
        self.began_s = 0.0
        self.lasted_s = 0.0

    def toxics(self) -> Sequence[Toxic]:
        """Return what to add to each link."""
        raise NotImplementedError

    def acted(self, probe: Probe) -> Bite:
        """Judge the request that was sent through the link while the fault was on."""
        raise NotImplementedError

    def inject(self, context: Context) -> None:
        """Add the toxics, send one request through each link, and begin to count."""
        links = self.links(context)
        for link in links:
            for toxic in self.toxics():
                link.add(toxic)
        for link in links:
            self.probes[link.name] = link.probe(timeout_s=self.probe_timeout_s)
        context.sleep(SETTLE_S)
        self.begun = {link.name: link.carried() for link in links}
        self.began_s = context.now_s()

    def lift(self, context: Context) -> None:
        """Look whether it is on to the end, heal, which closes all connections, and count once more."""
        if not self.lasting:
            self.lasting = {link.name: self.is_on(link) for link in self.links(context)}
        if not self.ended:
            self.lasted_s = context.now_s() - self.began_s
        super().lift(context)
        if not self.ended:
            context.sleep(SETTLE_S)
            self.ended = {link.name: link.carried() for link in self.links(context)}

    def is_on(self, link: Link) -> bool | None:
        """Tell whether the proxy has all toxics on a link; None: it does not answer."""
        try:
            state = link.state()
        except ChaosError:
            return None
        return state.enabled and all(any(holds(one, toxic) for one in state.toxics) for toxic in self.toxics())

    def carried(self, link: str, stream: str) -> int | None:
        """Return the bytes that a link took in from its till (upstream) or server while the fault was on."""
        begun, ended = self.begun.get(link), self.ended.get(link)
        if ended is None:
            return None
        return ended.get(stream, 0) - (begun or {}).get(stream, 0)

    def evidence(self, context: Context) -> Bite:
        """The toxic acted on a request, and the till's own bytes went through it."""
        links = self.links(context)
        return together(
            best([self.judged(context, link) for link in links if link.till == till]) for till in self.tills()
        )

    def judged(self, context: Context, link: Link) -> Bite:
        """Judge one link."""
        if link.name not in self.probes:
            return Bite(bit=None, text=f"{link.name}: no request was sent through it")
        acted = self.acted(self.probes[link.name])
        if acted.bit is not True:
            return Bite(bit=acted.bit, text=f"{link.name}: {acted.text}")
        if (lasting := self.lasting.get(link.name)) is not True:
            told = "was lifted before its end" if lasting is False else "could not be read at its end"
            return Bite(bit=lasting, text=f"{link.name}: {acted.text}, but the link {told}")
        sent = self.carried(link.name, "upstream")
        if sent is None:
            return Bite(bit=None, text=f"{link.name}: {acted.text}; the proxy server counts no bytes")
        if sent <= 0:
            return Bite(bit=False, text=f"{link.name}: {acted.text}, but its till sent nothing meanwhile")
        return Bite(bit=True, text=f"{link.name}: {acted.text}; {sent} bytes from its till meanwhile")


def best(bites: Sequence[Bite]) -> Bite:
    """Return what the links of one till come to: it uses one of them, and the fault is to bite there."""
    return next((one for one in bites if one.bit is True), bites[0])
