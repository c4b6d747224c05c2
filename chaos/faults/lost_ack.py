"""Lost ack: the server has committed a batch and its answer never reaches the till, which must send it again.

The answer is cut after some bytes on a connection that is open already, so that the till's request still arrives.
Where the cut came too early (the till was only shaking hands), the link is healed until the till has caught up,
and cut again.
"""

from __future__ import annotations

from dataclasses import dataclass

from chaos.faults.base import Bite, Context, together
from chaos.faults.flow import Reading, read
from chaos.faults.onlink import LinkFault
from chaos.faults.parameters import whole
from chaos.fleet.links import Link
from chaos.proxy.client import Toxic

AGAIN_S = 3.0
CERTAIN_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class LostAckParameters:
    """Where the answer is cut."""

    after_bytes: int = whole(
        0, unit="bytes", least=0, most=1_000_000, text="of the answers that still get through"
    )


@dataclass(slots=True, kw_only=True)
class Try:
    """The present state of one link."""

    armed: bool
    since_s: float
    server: int | None = None
    server_at_s: float = 0.0


class LostAck(LinkFault):
    """Cuts the answers to a till."""

    kind = "lost_ack"
    parameters = LostAckParameters

    def __init__(self, targets: tuple[str, ...], parameters: object = None) -> None:
        super().__init__(targets, parameters)
        self.tries: dict[str, Try] = {}
        self.proof: dict[str, str] = {}
        self.attempts = 0

    def inject(self, context: Context) -> None:
        """Cut the answers of every link from their next byte on."""
        for link in self.links(context):
            self._arm(context, link)

    def observe(self, context: Context) -> None:
        """Look for a lost ack on each till, and try again where the cut came too early."""
        for link in self.links(context):
            if link.till not in self.proof:
                self._look(context, link)

    def lift(self, context: Context) -> None:
        """Look once more, and heal."""
        for link in self.links(context):
            if link.till not in self.proof and link.name in self.tries:
                self._look(context, link, patient=True)
        super().lift(context)

    def evidence(self, context: Context) -> Bite:
        """For each till, the server held entries for which the till never saw the ack."""
        return together(
            Bite(bit=till in self.proof, text=f"{till}: {self.proof.get(till, 'no lost ack was seen')}")
            for till in self.tills()
        )

    def _arm(self, context: Context, link: Link) -> None:
        attributes = {"bytes": self.p.after_bytes}
        link.add(Toxic(name="lost_ack", type="limit_data", stream="downstream", attributes=attributes), live=True)
        self.attempts += 1
        self.tries[link.name] = Try(armed=True, since_s=context.now_s())

    def _look(self, context: Context, link: Link, *, patient: bool = False) -> None:
        """Compare what the server had some time ago with what the till knows now: an ack under way is no loss."""
        this = self.tries[link.name]
        now = read(context.witness, link.till)
        if not this.armed:
            if caught_up(now) and not patient:
                self._arm(context, link)
            return
        if this.server is None:
            this.server, this.server_at_s = now.server, context.now_s()
            if patient:
                context.sleep(CERTAIN_S)
                now = read(context.witness, link.till)
        if this.server is not None and context.now_s() - this.server_at_s >= CERTAIN_S:
            if now.acked is not None and this.server > now.acked:
                self.proof[link.till] = f"the server held seq {this.server}, the till knew of {now.acked}"
                return
            this.server, this.server_at_s = now.server, context.now_s()
        late = context.now_s() - this.since_s > AGAIN_S
        if late and not patient and now.head is not None and now.server is not None and now.head > now.server:
            link.heal()
            self.tries[link.name] = Try(armed=False, since_s=context.now_s())


def caught_up(now: Reading) -> bool:
    """Tell whether a till knows that all of its entries are on the server."""
    return now.head is not None and now.acked is not None and now.acked >= now.head
